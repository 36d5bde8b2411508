"""Comparing resource versions: decimal numbers of any length, and only within one resource.

The rule is the API server's own since Kubernetes 1.35: digits without a leading zero; the longer
text is the greater, texts of equal length compare by character.
"""


def well_formed(version: str) -> bool:
    """Whether this is a version that can be compared. The empty text and "0" cannot."""
    return version.isascii() and version.isdigit() and version[0] != "0"


def newer_or_equal(a: str, b: str) -> bool:
    """Whether `a` is at least as new as `b`.

    Versions of some other shape tell nothing, so nobody should wait for them: True.
    """
    if not well_formed(a) or not well_formed(b):
        return True
    return (len(a), a) >= (len(b), b)


def newest(a: str, b: str) -> str:
    """The newer of two versions; a comparable one wins over one that is not."""
    if well_formed(a) and well_formed(b):
        return max(a, b, key=lambda version: (len(version), version))
    return b if well_formed(b) or not a else a
