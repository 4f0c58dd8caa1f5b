"""Renders invented chats as phones export them, by platform and language: written from how real exports look."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

LRM: Final = "\u200e"
ARABIC: Final = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
PERSIAN: Final = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
DEVANAGARI: Final = str.maketrans("0123456789", "०१२३४५६७८९")
CONTACT: Final = "Marta Reis"
US: Final = "Ótica Duarte"


def clock(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """A time on a phone's clock, which has no zone."""
    return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001


@dataclass(frozen=True)
class Line:
    """One message of an invented chat. ``who`` is None for a notice; ``file`` is attached, ``omitted`` was left out."""

    at: datetime
    who: str | None
    text: str = ""
    file: str = ""
    is_omitted: bool = False
    is_edited: bool = False


@dataclass(frozen=True)
class Phone:
    """How one phone writes: ``date`` and ``time`` for strftime, with %P for the half of the day in its own words."""

    date: str
    time: str
    joint: str = ", "
    is_ios: bool = False
    halves: tuple[str, str] = ("AM", "PM")
    digits: Mapping[int, int] | None = None
    attached: str = "file attached"
    omitted: str = "Media omitted"
    edited: str = "This message was edited"
    deleted: str = "This message was deleted"
    notice: str = "Messages and calls are end-to-end encrypted. No one outside of this chat can read them."
    call: str = "Missed voice call"
    title: str = "WhatsApp Chat with {}"

    @property
    def has_seconds(self) -> bool:
        """Whether it writes seconds."""
        return "%S" in self.time

    def line(self, line: Line) -> str:
        """The line as exported."""
        half = self.halves[line.at.hour >= 12]
        stamp = f"{line.at:{self.date}}{self.joint}{line.at:{self.time.replace('%P', half)}}"
        stamp = stamp.translate(self.digits) if self.digits else stamp
        lead = f"[{stamp}] " if self.is_ios else f"{stamp} - "
        if line.who is None:
            return f"{lead}{CONTACT}: {LRM}{line.text}" if self.is_ios else f"{lead}{line.text}"
        mark = LRM if self.is_ios and (line.file or line.is_omitted) else ""
        return f"{mark}{lead}{line.who}: {self._body(line)}"

    def _body(self, line: Line) -> str:
        if line.is_omitted:
            return f"{LRM}{self.omitted}" if self.is_ios else f"<{self.omitted}>"
        if line.file:
            if self.is_ios:
                return f"{line.text}{LRM}<{self.attached}: {line.file}>"
            return f"{line.file} ({self.attached})" + (f"\n{line.text}" if line.text else "")
        return line.text + (f" {LRM}<{self.edited}>" if line.is_edited else "")

    def text(self, lines: Sequence[Line]) -> str:
        """The whole chat."""
        return "".join(f"{self.line(line)}\n" for line in lines)


PHONES: Final[dict[str, Phone]] = {
    "en-US android": Phone("%-m/%-d/%y", "%-I:%M\u202f%P"),
    "en-GB android": Phone("%d/%m/%Y", "%H:%M"),
    "en-US ios": Phone("%-m/%-d/%y", "%-I:%M:%S\u202f%P", is_ios=True, attached="attached", omitted="image omitted"),
    "pt-BR android": Phone(
        "%d/%m/%Y", "%H:%M", " ", attached="arquivo anexado", omitted="Mídia oculta", edited="Mensagem editada",
        deleted="Mensagem apagada", call="Chamada de voz perdida", title="Conversa do WhatsApp com {}",
        notice="As mensagens e as chamadas são protegidas com a criptografia de ponta a ponta.",
    ),
    "pt-PT ios": Phone(
        "%d/%m/%Y", "%H:%M:%S", is_ios=True, attached="anexado", omitted="imagem não revelada",
        deleted="Esta mensagem foi apagada.", call="Chamada de voz perdida", edited="Esta mensagem foi editada",
        notice="As mensagens e chamadas são encriptadas ponto a ponto.",
    ),
    "es android": Phone(
        "%-d/%-m/%y", "%-I:%M\u00a0%P", halves=("a.\u00a0m.", "p.\u00a0m."), attached="archivo adjunto",
        omitted="Multimedia omitido", deleted="Se eliminó este mensaje.", edited="Se editó este mensaje.",
        call="Llamada perdida", title="Chat de WhatsApp con {}",
        notice="Los mensajes y las llamadas están cifrados de extremo a extremo.",
    ),
    "fr android": Phone(
        "%d/%m/%Y", "%H:%M", " à ", attached="fichier joint", omitted="Médias omis", call="Appel vocal manqué",
        deleted="Ce message a été supprimé", edited="Ce message a été modifié", title="Discussion WhatsApp avec {}",
        notice="Les messages et les appels sont chiffrés de bout en bout.",
    ),
    "de android": Phone(
        "%d.%m.%y", "%H:%M", attached="Datei angehängt", omitted="Medien ausgeschlossen", title="WhatsApp-Chat mit {}",
        deleted="Diese Nachricht wurde gelöscht.", edited="Diese Nachricht wurde bearbeitet.",
        call="Verpasster Sprachanruf", notice="Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.",
    ),
    "de ios": Phone(
        "%d.%m.%y", "%H:%M:%S", is_ios=True, attached="Anhang", omitted="Bild weggelassen",
        deleted="Diese Nachricht wurde gelöscht.", edited="Diese Nachricht wurde bearbeitet.",
        call="Verpasster Sprachanruf", notice="Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.",
    ),
    "it ios": Phone(
        "%d/%m/%y", "%H:%M:%S", is_ios=True, attached="allegato", omitted="immagine omessa",
        call="Chiamata vocale persa",
        deleted="Questo messaggio è stato eliminato.", edited="Questo messaggio è stato modificato",
        notice="I messaggi e le chiamate sono crittografati end-to-end.",
    ),
    "nl android": Phone(
        "%d-%m-%Y", "%H:%M", " ", attached="bestand bijgevoegd", omitted="Media weggelaten",
        deleted="Dit bericht is verwijderd", edited="Dit bericht is bewerkt", call="Gemist spraakgesprek",
        notice="Berichten en gesprekken worden end-to-end versleuteld.",
    ),
    "tr android": Phone(
        "%d.%m.%Y", "%H:%M", " ", attached="dosya ekli", omitted="Medya dahil edilmedi", deleted="Bu mesaj silindi",
        edited="Bu mesaj düzenlendi", call="Cevapsız sesli arama", title="{} ile WhatsApp Sohbeti",
        notice="Mesajlar ve aramalar uçtan uca şifrelidir.",
    ),
    "ru android": Phone(
        "%d.%m.%Y", "%H:%M", attached="файл добавлен", omitted="Без медиафайлов", deleted="Данное сообщение удалено",
        edited="Сообщение изменено", call="Пропущенный аудиозвонок", title="Чат WhatsApp с контактом {}",
        notice="Сообщения и звонки защищены сквозным шифрованием.",
    ),
    "ar android": Phone(
        "%d\u200f/%m\u200f/%Y", "%-I:%M %P", "، ", halves=("ص", "م"), digits=ARABIC, attached="الملف مرفق",
        omitted="تم استبعاد الوسائط", deleted="تم حذف هذه الرسالة", edited="تم تعديل هذه الرسالة",
        call="مكالمة صوتية فائتة", notice="الرسائل والمكالمات مشفرة تمامًا بين الطرفين.", title="محادثة واتساب مع {}",
    ),
    "fa android": Phone("%Y/%-m/%-d", "%H:%M", "،\u200f ", digits=PERSIAN),
    "he ios": Phone(
        "%-d.%-m.%Y", "%H:%M:%S", is_ios=True, attached="מצורף", omitted="התמונה הושמטה", deleted="הודעה זו נמחקה",
        edited="ההודעה נערכה", call="שיחה קולית שלא נענתה", notice="ההודעות והשיחות מוצפנות מקצה לקצה.",
    ),
    "hi android": Phone(
        "%d/%m/%y", "%-I:%M %P", halves=("पूर्वाह्न", "अपराह्न"), digits=DEVANAGARI, attached="फ़ाइल संलग्न",
        omitted="मीडिया के बिना", deleted="यह मैसेज डिलीट कर दिया गया है", edited="यह मैसेज एडिट किया गया",
        call="मिस्ड वॉइस कॉल", notice="मैसेज और कॉल एंड-टू-एंड एन्क्रिप्टेड हैं.",
    ),
    "id android": Phone(
        "%d/%m/%y", "%H.%M", " ", attached="file terlampir", omitted="Media tidak disertakan",
        call="Panggilan suara tak terjawab",
        deleted="Pesan ini dihapus", edited="Pesan ini diedit", title="Chat WhatsApp dengan {}",
        notice="Pesan dan panggilan terenkripsi secara end-to-end.",
    ),
    "zh ios": Phone(
        "%Y/%-m/%-d", "%P%-I:%M:%S", " ", is_ios=True, halves=("上午", "下午"), attached="attached",
        omitted="image omitted",
    ),
    "sv android": Phone(
        "%Y-%m-%d", "%H:%M", " ", attached="fil bifogad", omitted="Media har utelämnats",
        deleted="Detta meddelande har raderats", edited="Detta meddelande har redigerats", call="Missat röstsamtal",
        notice="Meddelanden och samtal är end-to-end-krypterade.",
    ),
    "pl android": Phone(
        "%d.%m.%Y", "%H:%M", attached="plik załączony", omitted="pominięto multimedia",
        deleted="Ta wiadomość została usunięta", edited="Ta wiadomość została edytowana",
        call="Nieodebrane połączenie głosowe", notice="Wiadomości i połączenia są w pełni szyfrowane.",
    ),
    "uk android": Phone(
        "%d.%m.%y", "%H:%M", attached="файл долучено", omitted="Медіа пропущено", deleted="Це повідомлення видалено",
        edited="Це повідомлення змінено", call="Пропущений аудіодзвінок",
        notice="Повідомлення та виклики захищено наскрізним шифруванням.",
    ),
    "ro android": Phone(
        "%d.%m.%Y", "%H:%M", attached="fișier atașat", omitted="Media omise", deleted="Acest mesaj a fost șters",
        edited="Acest mesaj a fost editat", call="Apel vocal nepreluat",
        notice="Mesajele și apelurile sunt criptate integral.",
    ),
    "ms android": Phone(
        "%d/%m/%Y", "%-I:%M %P", halves=("PG", "PTG"), attached="fail dilampirkan", omitted="Media disingkirkan",
        deleted="Mesej ini telah dipadam", edited="Mesej ini telah diedit", call="Panggilan suara terlepas",
        notice="Mesej dan panggilan disulitkan hujung ke hujung.",
    ),
    "zh-CN android": Phone(
        "%Y/%-m/%-d", "%H:%M", " ", attached="文件附件", omitted="省略多媒体文件", deleted="此消息已被删除",
        edited="此消息已编辑", call="未接语音通话", notice="消息和通话已进行端到端加密。",
    ),
    "zh-TW ios": Phone(
        "%Y/%-m/%-d", "%P%-I:%M:%S", " ", is_ios=True, halves=("上午", "下午"), attached="附件",
        omitted="圖片已略去", deleted="此訊息已刪除。", edited="此訊息已編輯", call="未接語音通話",
        notice="訊息和通話經端對端加密。",
    ),
    "ja android": Phone(
        "%Y/%m/%d", "%H:%M", " ", attached="添付ファイル", omitted="メディアは含まれていません",
        deleted="このメッセージは削除されました", edited="このメッセージは編集されました",
        call="不在着信(音声通話)", notice="メッセージと通話はエンドツーエンドで暗号化されています。",
    ),
    "ko ios": Phone(
        "%Y. %-m. %-d.", "%P %-I:%M:%S", " ", is_ios=True, halves=("오전", "오후"), attached="첨부됨",
        omitted="사진 생략됨", deleted="삭제된 메시지입니다.", edited="이 메시지는 수정되었습니다",
        call="부재중 음성 통화", notice="메시지와 통화는 종단간 암호화됩니다.",
    ),
}  # fmt: skip


def write_text(path: Path, phone: Phone, lines: Sequence[Line], encoding: str = "utf-8") -> Path:
    """Write the chat as a text file."""
    path.write_bytes(phone.text(lines).encode(encoding))
    return path


def write_zip(path: Path, phone: Phone, lines: Sequence[Line], files: Mapping[str, bytes], name: str = "") -> Path:
    """Write the chat and its files as a zip."""
    path.write_bytes(zip_bytes(phone, lines, files, name))
    return path


def zip_bytes(phone: Phone, lines: Sequence[Line], files: Mapping[str, bytes], name: str = "") -> bytes:
    """A zip as the phone makes it."""
    chat = "_chat.txt" if phone.is_ios else f"{phone.title.format(CONTACT)}.txt"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr(name or chat, phone.text(lines))
        for each, content in files.items():
            package.writestr(each, content)
    return buffer.getvalue()
