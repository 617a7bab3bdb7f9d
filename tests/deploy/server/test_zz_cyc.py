import asyncio, gc
import pytest
from starlette.requests import ClientDisconnect
from tests.deploy.server.conftest import *
from frostline.deploy.server import answers
from frostline.deploy.server.uploads import Upload
async def old(request, work):
    gone = asyncio.create_task(answers._wait_until_gone(request))
    working = asyncio.create_task(work)
    try:
        await asyncio.wait((gone, working), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        gone.cancel()
        working.cancel()
@pytest.mark.parametrize("which",["old","new"])
def test_x(served, which, monkeypatch):
    if which=="old": monkeypatch.setattr(answers,"_unless_gone",old)
    gc.collect(); gc.disable()
    for _ in range(10): assert served.client.post("/predict", content=png(70, 70)[:-30]).status_code==422
    import collections; k=collections.Counter(type(o).__name__ for o in gc.get_objects()); k={n:k[n] for n in ("Upload","ProblemError","Request","Task","traceback","frame","UnreadablePictureError")}, gc.isenabled(), gc.get_count(); gc.enable()
    print("KEPT",which,k)
