"""Media: upload, download, thumbnails, asynchronous upload, URL preview."""

from __future__ import annotations

from contract import Contract, scenario
from harness.pictures import png


def parts(uri: str) -> dict[str, str]:
    """Server name and media id of an mxc URI."""
    server, _, media = uri.removeprefix("mxc://").partition("/")
    return {"serverName": server, "mediaId": media}


@scenario
async def upload_and_download(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    config = await c.call("getConfigAuthed", alice)
    c.check(config.get("m.upload.size", 1) > 0, f"a sensible upload size: {config}")
    headers = {"Content-Type": "text/plain"}
    uri = (await c.call("uploadContent", alice, data=b"hello", headers=headers, query={"filename": "a b.txt"}))["content_uri"]
    got = await c.call("getContentAuthed", bob, **parts(uri))
    c.check(got == b"hello", f"the bytes must come back: {got!r}")
    got = await c.call("getContentOverrideNameAuthed", bob, **parts(uri), fileName="other.txt")
    c.check(got == b"hello", f"the bytes must come back under another name: {got!r}")
    server = parts(uri)["serverName"]
    await c.call("getContentAuthed", bob, serverName=server, mediaId="nosuch", status=404, errcode="M_NOT_FOUND")
    await c.call("getContentAuthed", status=401, errcode="M_MISSING_TOKEN", **parts(uri))


@scenario
async def safe_content_types(c: Contract) -> None:
    user = await c.user()
    page = b"<script>alert(1)</script>"
    uri = (await c.call("uploadContent", user, data=page, headers={"Content-Type": "text/html"}))["content_uri"]
    where = parts(uri)
    answer = await c.http.request("GET", f"/_matrix/client/v1/media/download/{where['serverName']}/{where['mediaId']}", token=user.token)
    disposition = answer.headers.get("Content-Disposition", "")
    c.check(disposition.startswith("attachment"), f"HTML must be an attachment: {disposition!r}")
    policy = answer.headers.get("Content-Security-Policy", "")
    c.check("sandbox" in policy, f"a sandbox policy is due: {policy!r}")


@scenario
async def thumbnails(c: Contract) -> None:
    user = await c.user()
    uri = (await c.call("uploadContent", user, data=png(200, 100), headers={"Content-Type": "image/png"}))["content_uri"]
    for method, size in (("scale", (64, 64)), ("crop", (32, 32))):
        query = {"width": size[0], "height": size[1], "method": method}
        small = await c.call("getContentThumbnailAuthed", user, query=query, **parts(uri))
        c.check(isinstance(small, bytes) and len(small) > 20, f"{method}: an image must come: {small!r:.60}")
    negative = {"width": -1, "height": 10}
    await c.call("getContentThumbnailAuthed", user, query=negative, status=400, **parts(uri))
    gone = parts(uri) | {"mediaId": "nosuch"}
    await c.call("getContentThumbnailAuthed", user, query={"width": 9, "height": 9}, status=404, errcode="M_NOT_FOUND", **gone)


@scenario
async def asynchronous_upload(c: Contract) -> None:
    user, other = await c.user(), await c.user()
    uri = (await c.call("createContent", user))["content_uri"]
    await c.call("getContentAuthed", user, query={"timeout_ms": 0}, status=504, errcode="M_NOT_YET_UPLOADED", **parts(uri))
    await c.call("uploadContentToMXC", other, data=b"x", status=403, errcode="M_FORBIDDEN", **parts(uri))
    await c.call("uploadContentToMXC", user, data=b"late", headers={"Content-Type": "text/plain"}, **parts(uri))
    got = await c.call("getContentAuthed", user, **parts(uri))
    c.check(got == b"late", f"the bytes must come back: {got!r}")
    await c.call("uploadContentToMXC", user, data=b"y", status=409, errcode="M_CANNOT_OVERWRITE_MEDIA", **parts(uri))


@scenario
async def url_preview(c: Contract) -> None:
    user = await c.user()
    # an address inside the server's own network must never be fetched
    inner = {"url": "http://127.0.0.1:1/"}
    await c.call("getUrlPreviewAuthed", user, query=inner, status=(400, 403, 404, 502))


@scenario
async def url_preview_old(c: Contract) -> None:
    await c.call("getUrlPreview", await c.user(), query={"url": "http://127.0.0.1:1/"}, status=(400, 403, 404, 502))


@scenario
async def config_old(c: Contract) -> None:
    await c.call("getConfig", await c.user())


@scenario
async def download_old(c: Contract) -> None:
    user = await c.user()
    uri = (await c.call("uploadContent", user, data=b"x", headers={"Content-Type": "text/plain"}))["content_uri"]
    # media uploaded since authentication is asked for is not served without it
    await c.call("getContent", status=404, errcode="M_NOT_FOUND", **parts(uri))


@scenario
async def download_with_name_old(c: Contract) -> None:
    user = await c.user()
    uri = (await c.call("uploadContent", user, data=b"x", headers={"Content-Type": "text/plain"}))["content_uri"]
    await c.call("getContentOverrideName", status=404, errcode="M_NOT_FOUND", **parts(uri), fileName="x.txt")


@scenario
async def thumbnail_old(c: Contract) -> None:
    user = await c.user()
    uri = (await c.call("uploadContent", user, data=png(8, 8), headers={"Content-Type": "image/png"}))["content_uri"]
    size = {"width": 4, "height": 4}
    await c.call("getContentThumbnail", query=size, status=404, errcode="M_NOT_FOUND", **parts(uri))
