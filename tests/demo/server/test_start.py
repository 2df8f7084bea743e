"""How the demo starts and ends on a machine that others use too."""

import signal

import pytest
from demo.server.test_limits import upload
from gradio import processing_utils
from serving import running_demo

from carmask.demo.server.settings import replace_private_names
from carmask.errors import ModelError


def test_another_gradio_is_refused_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.delattr(processing_utils, "async_ssrf_protected_download")
    with pytest.raises(ModelError, match=r"async_ssrf_protected_download.*requirements\.txt"):
        replace_private_names(str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_starts_beside_anothers_folder_gradio_and_deletes_all_at_the_end(tiny_mask_model, tmp_path, number):
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("This test runs under nohup, which stays ignored.")
    (tmp_path / "gradio").write_text("what another user has there, and nobody else can make a folder of")
    with running_demo(tiny_mask_model, TMPDIR=str(tmp_path)) as (demo, process, _):
        assert upload(demo, b"a picture").status_code == 200
        assert list(tmp_path.glob("carmask-*/*/a.png"))
        process.send_signal(number)
        process.wait(60)
    assert not list(tmp_path.glob("carmask-*"))
