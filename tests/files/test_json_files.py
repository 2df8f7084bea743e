import json

import pytest

from carmask.errors import DataError
from carmask.files.json_files import read_json


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_is_read_in_every_encoding_with_or_without_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes(json.dumps({"name": "Käfer"}, ensure_ascii=False).encode(encoding))
    assert read_json(tmp_path / "a.json") == {"name": "Käfer"}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xd8\xff\xe0", b"[" * 100_000, b"9" * 5000, b'"\xfc"'])
def test_what_is_no_json_is_refused_in_one_sentence(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json is no JSON file"):
        read_json(tmp_path / "a.json")
