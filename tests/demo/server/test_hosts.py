"""By which names the demo may be called."""

import pytest

from carmask.demo.server.hosts import is_own, own_names, refusal_of


@pytest.fixture
def names(monkeypatch):
    monkeypatch.setenv("CARMASK_HOST", "demo.example.org, https://Masks.example:8443")
    monkeypatch.setattr("socket.gethostname", lambda: "workshop")
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    return own_names()


OWN = ["localhost", "localhost:7860", "127.0.0.1:7860", "[::1]:7860", "192.168.1.7", "WORKSHOP:7860", "workshop.local"]
OWN += ["demo.example.org", "demo.example.org.:80", "masks.example", "0123abc.gradio.live"]
OTHERS = ["evil.example", "localhost.evil.example", "evilgradio.live", "[", "", "127.0.0.1.nip.io", "2130706433"]


@pytest.mark.parametrize("host", OWN)
def test_addresses_the_machines_name_and_told_names_are_its_own(names, host):
    assert is_own(host, names)


@pytest.mark.parametrize("host", OTHERS)
def test_another_sites_name_is_not(names, host):
    assert not is_own(host, names)


def test_a_refusal_says_what_to_start_the_demo_with():
    assert "CARMASK_HOST=evil.example" in refusal_of("evil.example:7860")


def test_on_a_space_every_name_is_taken(names, monkeypatch):
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "owner/name")
    assert is_own("owner-name.hf.space", names)
    assert is_own("a-health-check", names)
