"""QR codes, drawn here: nothing that pays or signs in is shown to another server."""

import io

import segno


def qr_svg(text: str) -> str:
    """`text` as SVG with a namespace, so that it also stands alone; few spare bits: a screen is clean."""
    drawn = io.BytesIO()
    segno.make(text, error="l").save(drawn, kind="svg", xmldecl=False, omitsize=True, border=2)
    return drawn.getvalue().decode("ascii")
