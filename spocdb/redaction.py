"""Remove passwords, tokens and signatures from text for people or logs.

Every message of a SpocdbError passes through `redact` (see `errors`), so that no message, log line
or failure row shows a secret of a URL or connection string.
"""

import re

HIDDEN = "***"
# Longer messages are cut. The repetitions below are bounded too, against text from a server that
# makes a pattern slow.
LONGEST = 20_000

# Names of query parameters and connection options whose value is a secret: passwords, tokens, and
# the signatures of Amazon's, Google's, Azure's and CloudFront's signed URLs.
_SECRET_NAME = (
    r"[\w.-]{0,40}(?:passw(?:or)?d|passphrase|pwd|secret|token|signature|credential|api_?key|apikey"
    r"|accesskey|access_key|jwt)[\w.-]{0,40}"
    r"|x-(?:amz|goog)-[\w-]{1,60}|awsaccesskeyid|googleaccessid|key-pair-id|policy"
    r"|sig|key|auth|pass|code|sas|hdnts|hdnea"
)

# user:password@ of a URL, also of one with too few slashes. An unencoded database password may
# contain any character, also / and @, so everything up to the last @ is hidden.
_USER_INFO = re.compile(
    r"\b([a-z][a-z0-9+.-]{0,30}:/{1,3})([^\s/:@]{0,300}):(\S{0,4000})@", re.IGNORECASE
)
# In an http URL, `host:port/path@2x.png` is no password, but a user name alone may be a token.
_PORT = re.compile(r"\d*(?:[/?#]\S*)?")
_HTTP_NAME = re.compile(r"\b(https?:/{1,3})([^\s/:@?#]+)@", re.IGNORECASE)
_PARAMETER = re.compile(rf"([?&;])({_SECRET_NAME})=[^\s&;#'\"]*", re.IGNORECASE)
_OPTION = re.compile(
    r"\b(\w{0,40}(?:password|passwd|passphrase|secret|token))(\s{0,9}=\s{0,9})"
    r"(?!\*)('(?:\\.|[^'\\])*'?|\"[^\"]*\"?|[^\s&]+)",
    re.IGNORECASE,
)
_HEADER = re.compile(r"\b(authorization\s*:\s*\w+|bearer)\s+[\w.~+/=-]{16,}", re.IGNORECASE)


def redact(text: str) -> str:
    """Return the text with every password, token and signature in it replaced by ***."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}..."
    if "@" in text:
        text = _USER_INFO.sub(_hide_password, text)
        text = _HTTP_NAME.sub(rf"\1{HIDDEN}@", text)
    if "=" in text:
        text = _PARAMETER.sub(rf"\1\2={HIDDEN}", text)
        text = _OPTION.sub(rf"\1\2{HIDDEN}", text)
    return _HEADER.sub(rf"\1 {HIDDEN}", text)


def _hide_password(found: re.Match[str]) -> str:
    scheme, user, password = found.groups()
    if scheme.lower().startswith("http") and _PORT.fullmatch(password):
        return found[0]
    return f"{scheme}{user}:{HIDDEN}@"
