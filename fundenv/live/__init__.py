"""A paper account on live data: the kernel of the backtest, stepped bar by bar.

    Feed -> journal -> sealed tables -> the checks of files -> market -> kernel -> agent -> state

The account depends only on the records of the journal. So a process can be killed at any instant,
and a backtest on the journal gives the same account to the last bit.
Needs the extra `download`; `fundenv paper` is its command.
"""

from fundenv.live.account import Account
from fundenv.live.errors import LiveError
from fundenv.live.feed import QUICK, Feed, LiveFeed, RecordedFeed
from fundenv.live.journal import Journal, read_journal
from fundenv.live.limits import Gate, Limits
from fundenv.live.paper import Paper, Plan
from fundenv.live.patience import Waits
from fundenv.live.quotes import Quote, ask_quote

__all__ = [
    "QUICK",
    "Account",
    "Feed",
    "Gate",
    "Journal",
    "Limits",
    "LiveError",
    "LiveFeed",
    "Paper",
    "Plan",
    "Quote",
    "RecordedFeed",
    "Waits",
    "ask_quote",
    "read_journal",
]
