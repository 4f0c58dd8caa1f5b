"""Files in a private bucket of anything that speaks S3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from aiobotocore.session import get_session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from coexist.base.config import Settings
from coexist.base.errors import Invalid, NotFound, Unavailable
from coexist.media.model import Name

PART_BYTES: Final = 8 * 1024 * 1024
"""A larger file goes in parts of this size, one at a time: the most that sending one holds in memory."""
READ_BYTES: Final = 256 * 1024
CONNECT_S: Final = 5
SILENCE_S: Final = 30
ATTEMPTS: Final = 3
MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})


class S3:
    """Files below the prefix of a bucket. See ``storage.Storage``. Connects at the first use."""

    def __init__(self, settings: Settings) -> None:
        if not settings.s3_bucket:
            raise Invalid("COEXIST_S3_BUCKET is not set: the bucket that files are kept in.")
        self._bucket, self._prefix = settings.s3_bucket, settings.s3_prefix
        self._options = {
            "endpoint_url": settings.s3_endpoint,
            "region_name": settings.s3_region,
            "aws_access_key_id": settings.s3_access_key,
            "aws_secret_access_key": settings.s3_secret_key,
            "config": Config(
                connect_timeout=CONNECT_S,
                read_timeout=SILENCE_S,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                # Own endpoints have no name for each bucket, and few know the newer checksums.
                s3={"addressing_style": "path" if settings.s3_endpoint else "auto"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        }
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()
        self._client: Any = None

    async def put(self, name: Name, source: Path) -> None:
        """Send a file, in parts when it is large: it is there only once all of it is."""
        with _in_words():
            client, key = await self._connected(), self._key(name)
            size = (await asyncio.to_thread(source.stat)).st_size
            if size > PART_BYTES:
                await self._put_parts(client, key, source)
            else:
                body = await asyncio.to_thread(source.read_bytes)
                await client.put_object(Bucket=self._bucket, Key=key, Body=body)

    async def read(self, name: Name, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes, piece by piece, as they come from the bucket."""
        if length == 0:
            return
        last = "" if length is None else start + length - 1
        whole: dict[str, str] = {} if start == 0 and length is None else {"Range": f"bytes={start}-{last}"}
        with _in_words():
            client = await self._connected()
            answer = await client.get_object(Bucket=self._bucket, Key=self._key(name), **whole)
            async with answer["Body"] as body:
                while piece := await body.read(READ_BYTES):
                    yield piece

    async def size(self, name: Name) -> int | None:
        """Its size in bytes, None when it is not there."""
        with suppress(NotFound), _in_words():
            client = await self._connected()
            return int((await client.head_object(Bucket=self._bucket, Key=self._key(name)))["ContentLength"])
        return None

    async def delete(self, name: Name) -> None:
        """Take it away, if it is there."""
        with suppress(NotFound), _in_words():
            await (await self._connected()).delete_object(Bucket=self._bucket, Key=self._key(name))

    async def names(self) -> AsyncIterator[Name]:
        """Everything that is kept, a page of a thousand at a time."""
        with _in_words():
            pages = (await self._connected()).get_paginator("list_objects_v2")
            async for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}accounts/"):
                for item in page.get("Contents", ()):
                    if name := Name.of_key(item["Key"].removeprefix(self._prefix)):
                        yield name

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._open.aclose()

    def _key(self, name: Name) -> str:
        return self._prefix + name.key

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                creating = get_session().create_client("s3", **self._options)
                self._client = await self._open.enter_async_context(creating)
        return self._client

    async def _put_parts(self, client: Any, key: str, source: Path) -> None:
        named = {"Bucket": self._bucket, "Key": key}
        upload = {**named, "UploadId": (await client.create_multipart_upload(**named))["UploadId"]}
        try:
            parts: list[dict[str, Any]] = []
            with await asyncio.to_thread(source.open, "rb") as file:
                while body := await asyncio.to_thread(file.read, PART_BYTES):
                    number = len(parts) + 1
                    sent = await client.upload_part(**upload, PartNumber=number, Body=body)
                    parts.append({"ETag": sent["ETag"], "PartNumber": number})
            await client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with suppress(BotoCoreError, ClientError, HTTPClientError):
                await client.abort_multipart_upload(**upload)
            raise


@contextmanager
def _in_words() -> Iterator[None]:
    """What S3 and the way to it answer, as errors for people: the code, never the request with its signature."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "?"))
        if code in MISSING:
            raise NotFound("This file is not here.", next_step="It may still be on the phone.") from error
        step = "Check COEXIST_S3_BUCKET, the keys, and what they may do."
        raise Unavailable(f"The file store refused: {code}.", next_step=step) from error
    except (BotoCoreError, HTTPClientError, TimeoutError, OSError) as error:
        step = "Check COEXIST_S3_ENDPOINT and that it runs."
        raise Unavailable(f"The file store cannot be reached ({type(error).__name__}).", next_step=step) from error
