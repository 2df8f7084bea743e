"""What the server remembers of its visitors: whoever has the page open is forgotten last."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from gradio.state_holder import StateHolder

MOST_FORGOTTEN = 10_000  # visitors of whom it is remembered that they were forgotten


class VisitorStates(StateHolder):
    """gradio's states, of which an open page's is dropped only when there are too many open pages.

    gradio drops the state that was used longest ago, so that a program that asks often enough drops all visitors'.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pages: Counter[str] = Counter()  # open pages by session
        self.forgotten: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def open_page(self, session: str) -> Iterator[None]:
        """Counts a page of this session as open while the block runs."""
        self.pages[session] += 1
        try:
            yield
        finally:
            self.pages[session] -= 1
            self.pages += Counter()  # forget those without an open page

    def update(self, session_id: str) -> None:
        """Notes the use of a session's state; drops the one used longest ago, without an open page if there is one."""
        with self.lock:
            if session_id in self.session_data:
                self.session_data.move_to_end(session_id)
            while len(self.session_data) > self.capacity:
                others = [session for session in self.session_data if session != session_id]
                dropped = next((session for session in others if session not in self.pages), others[0])
                del self.session_data[dropped]
                self.time_last_used.pop(dropped, None)
                self.forgotten[dropped] = None
            while len(self.forgotten) > MOST_FORGOTTEN:
                self.forgotten.popitem(last=False)

    def was_forgotten(self, session: str) -> bool:
        """Whether a session's state was dropped; says so once."""
        return self.forgotten.pop(session, True) is None
