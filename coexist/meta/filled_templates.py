"""Template messages that were filled in before, read again: the other way round of ``templates.fill``. Pure."""

from __future__ import annotations

from coexist.meta.templates import Form


def values_of(form: Form, components: object) -> dict[str, str]:
    """Return the values that a message was filled in with, by key, as far as the form still has their places.

    ``components`` are those of our own message. Files are left out: Meta keeps them for a while only.
    """
    found: dict[str, str] = {}
    for part in components if isinstance(components, list) else ():
        kind, parameters = part.get("type"), part.get("parameters", ())
        of_part = [each.key for each in form.fields if each.key.startswith(f"{kind}.")]
        for place, each in enumerate(parameters):
            if location := each.get("location"):
                found |= {f"header.{name}": str(value) for name, value in location.items()}
            elif kind == "button":
                found[f"button.{part.get('index')}"] = each.get("coupon_code") or each.get("text") or ""
            elif name := each.get("parameter_name"):
                found[f"{kind}.{name}"] = each.get("text") or ""
            elif place < len(of_part):
                found[of_part[place]] = each.get("text") or ""
    return {key: value for key, value in found.items() if value and form.field(key)}
