"""By which names the demo may be called: a page of another site that gives itself the demo's address is refused.

That is DNS rebinding: the browser then believes that the demo belongs to the other site, and lets its page read all
that the visitor could. Such a page always calls the demo by the other site's name, never by a bare address.
"""

import ipaddress
import os
import socket
from urllib.parse import urlsplit

from gradio.utils import get_space

VARIABLE = "CARMASK_HOST"
SHARED = ".gradio.live"  # what `share=True` gives; nobody else can give such a name


def name_of(host: str) -> str | None:
    """The name in a Host header or an address, lower-case and without port; None if there is none."""
    try:
        name = urlsplit(host if "//" in host else f"//{host}").hostname
    except ValueError:
        return None
    return name.rstrip(".") if name else None


def own_names() -> set[str]:
    """The names that the demo was told it is called, the machine's own one among them."""
    machine = socket.gethostname()
    told = [*os.environ.get(VARIABLE, "").split(","), os.environ.get("GRADIO_SERVER_NAME", "")]
    own = [*told, "localhost", machine, f"{machine}.local"]  # other machines in the house call it .local
    return {name for host in own if (name := name_of(host.strip()))}


def is_own(host: str, names: set[str]) -> bool:
    """Whether a Host header names the demo: by an address, by one of its `names`, or by a link of gradio's.

    A Space is public and stands behind a server that knows its names, so there every name is taken.
    """
    name = name_of(host)
    if name is None:
        return False
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return name in names or name.endswith(SHARED) or get_space() is not None


def refusal_of(host: str) -> str:
    """Says that the demo is not called so, and what to do."""
    name = (name_of(host) or "")[:100]
    remedy = f"whoever runs it starts it with {VARIABLE}={name}" if name else "open its address in a browser"
    return f"The demo was not told that it is called {name or 'so'}: {remedy}, or a visitor opens its own address."
