"""A node that meets one failure of its disk and says what became of it: run by the test, preloaded.

python -m tests.engine.disk_errors.life DIR STORE WHAT TIMES ERRNO
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import DiskFull, Error
from multiraft.shards.engine import Engine

from .orders import Orders

WAIT_S = 30.0


async def live(directory: Path, store: str, what: int, times: int, code: int) -> dict[str, object]:
    """Write, meet the failure, write on, and read everything; also after a restart."""
    orders = Orders(os.environ["FAIL_FILE"])
    data = directory / store / "data.mdb"
    said: list[str] = []
    async with asyncio.timeout(WAIT_S), Engine.open(directory, config=EngineConfig(flush_ms=20)) as db:
        await db.put(b"before", b"1")
        await settled(db)
        inode = data.stat().st_ino
        orders.fail(what, times, code)
        number = 0
        try:
            while orders.left or db.assembly.node.replicas.trouble is not None:
                number += 1
                try:
                    await db.put(b"%d" % number, b"x" * 1000)
                except DiskFull as error:
                    said.append(type(error).__name__)
                await asyncio.sleep(0.01)  # sleep: the failure comes with a flush in the background
            await db.put(b"after", b"2")
        except Error as error:
            cause = (await db.stopped()) if db.assembly.host._stopped else error
            return {"ended": type(cause).__name__, "failed": orders.done}
        values = [await db.get(b"before"), await db.get(b"after")]
        renewed = data.stat().st_ino != inode
    async with Engine.open(directory) as db:
        values += [await db.get(b"before"), await db.get(b"after")]
    whole = values == [b"1", b"2"] * 2
    return {"ended": None, "failed": orders.done, "whole": whole, "renewed": renewed, "refused": bool(said)}


async def settled(db: Engine) -> None:
    """Until nothing is on its way to either store."""
    node = db.assembly.node
    while node.batches_in_flight or node.state.flushing is not None:  # noqa: ASYNC110 # threads are at work
        await asyncio.sleep(0.01)  # sleep: the threads of the stores are at work


if __name__ == "__main__":
    place, store, *numbers = sys.argv[1:]
    print(json.dumps(asyncio.run(live(Path(place), store, *map(int, numbers)))))
