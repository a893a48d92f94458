"""Files as real people sent them, kept octet for octet."""

from pathlib import Path

from certificates.pem import text_of

FOLDER = Path(__file__).parent
INPUTS = {path.name: text_of(path.read_bytes()) for path in sorted(FOLDER.glob("*.pem"))}
