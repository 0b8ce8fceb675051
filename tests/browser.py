#!/usr/bin/env python3
"""The pages of `demotic serve`, of a run and of a sweep in headless Chromium: draws, waits for pictures, watches a training, takes screenshots.

    cargo build --release && tests/browser.py [--binary target/release/demotic] [--out FOLDER] [--runtime FOLDER]

With --runtime, `package/dist` of the npm package onnxruntime-web, the page of `demotic export --web` runs its network, too. Needs Python's standard library and Chromium (`apt-get install chromium`); where there is none it says so and is skipped.
Chromium is driven by the DevTools protocol over a pipe. Exit code 0: all as it should be; 77: skipped.
"""

import argparse
import base64
import functools
import http.server
import json
import os
import pathlib
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

TINY = """
[data]
size_px = 16
styles = ["openmoji-line", "openmoji"]
[generator]
channels = 8
channels_min = 8
encoder_blocks = 1
decoder_blocks = 1
context_blocks = 0
latent_channels = 4
style_dims = 8
[discriminator]
channels = 8
[train]
batch = 2
steps = 100000
tick_steps = 20
sample_steps = 40
checkpoint_steps = 400
"""


def check(holds, what):
    if not holds:
        raise AssertionError(what)


class Browser:
    """A page in Chromium."""

    def __init__(self, program, folder):
        to_browser, self.writes = os.pipe()
        self.reads, from_browser = os.pipe()
        command = [program, "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu",
                   "--hide-scrollbars", "--disable-component-update", "--disable-background-networking",
                   f"--user-data-dir={folder}"]
        if os.geteuid() == 0:
            command.append("--no-sandbox")
        # The pipe is at descriptors 3 and 4.
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "sh", *command],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.number, self.events, self.session = b"", 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Network", "Log", "DOM", "Accessibility"]:
            self.call(f"{domain}.enable")

    def message(self, timeout):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.reads], [], [], timeout)
            if not ready:
                return None
            part = os.read(self.reads, 1 << 20)
            check(part, "Chromium went away")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message(60)
            check(answer is not None, f"{method}: no answer")
            if answer.get("id") == self.number:
                check("error" not in answer, f"{method}: {answer.get('error')}")
                return answer["result"]
            self.events.append(answer)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        check("exceptionDetails" not in result, f"{expression}: {result.get('exceptionDetails')}")
        return result["result"].get("value")

    def wait(self, expression, what, secs=60):
        until = time.monotonic() + secs
        while not self.value(expression):
            check(time.monotonic() < until, f"waited {secs} s in vain: {what}; status: "
                  + str(self.value("document.getElementById('status')?.textContent")))
            time.sleep(0.05)

    def look(self, width, height, scheme, is_touch):
        self.width = width
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_touch)
        self.call("Emulation.setTouchEmulationEnabled", enabled=is_touch)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url):
        self.call("Page.navigate", url="about:blank")
        self.wait("location.protocol === 'about:'", "an empty page")
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait("location.protocol === 'http:' && document.readyState === 'complete'", "the page")

    def screenshot(self, file):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def key(self, key, code=None, modifiers=0):
        for kind in ["keyDown", "keyUp"]:
            text = {"text": key} if len(key) == 1 and kind == "keyDown" and not modifiers else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, modifiers=modifiers, **text)

    def place(self, selector):
        box = self.value(f"(() => {{ const e = document.querySelector('{selector}'); e.scrollIntoView({{block: 'center'}});"
                         " const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height] })()")
        return box

    def draw(self, points, is_touch):
        """Draws a line on the board; points are shares of its sides."""
        x, y, width, height = self.place("#canvas")
        at = [(x + px * width, y + py * height) for px, py in points]
        if is_touch:
            def touch(kind, places):
                self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in places])
            touch("touchStart", at[:1])
            for each in at[1:]:
                touch("touchMove", [each])
            touch("touchEnd", [])
        else:
            def mouse(kind, place, buttons):
                self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", buttons=buttons, clickCount=1)
            mouse("mousePressed", at[0], 1)
            for each in at[1:]:
                mouse("mouseMoved", each, 1)
            mouse("mouseReleased", at[-1], 0)


WARNING = "the <b>discriminator</b> wins"
# What a run says of a style whose letters the built-in font lacks.
NUMBERED = "in samples/, style 2 is \u65e5\u672c"
PICTURES = ("[...document.querySelectorAll('#styles img')].length > 1 && "
            "[...document.querySelectorAll('#styles img')].every(i => i.complete && i.naturalWidth > 0)")
FIRST = "document.querySelector('#styles img').src"


def disc(width, height, ground):
    """An orange disc on a plain ground."""
    def colour(x, y):
        return [240, 130, 30, 255] if (x - width / 2) ** 2 + (y - height / 2) ** 2 < (0.4 * height) ** 2 else ground
    return png(width, height, colour)


def png(width, height, colour):
    """A picture by the colour at each place."""
    rows = b"".join(b"\0" + b"".join(bytes(colour(x, y)) for x in range(width)) for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def common(browser, name, host):
    """What holds of every view."""
    # Of the window that was asked for: a phone's own grows with what does not fit.
    width = browser.width
    wide = browser.value("document.documentElement.scrollWidth")
    check(wide <= width, f"{name}: {wide} px wide in a window of {width}")
    shift = browser.value("window.shifted ?? 0")
    check(shift < 0.02, f"{name}: the layout shifted by {shift}: {browser.value('window.shifts')}")
    for node in browser.call("Accessibility.getFullAXTree")["nodes"]:
        role = node.get("role", {}).get("value")
        if role in ["button", "slider", "combobox", "image", "tab", "ColorWell", "application", "progressbar"] and not node.get("ignored"):
            check(node.get("name", {}).get("value"), f"{name}: a {role} without a name: {node}")
    for event in browser.events:
        method, params = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            check(url.startswith((host, "data:", "blob:", "about:")), f"{name}: asked {url}")
        problem = method == "Runtime.exceptionThrown" or (method == "Log.entryAdded" and params["entry"]["level"] == "error")
        check(not problem, f"{name}: {json.dumps(params)[:600]}")
    browser.events.clear()


SHIFTS = ("window.shifted = 0; window.shifts = []; new PerformanceObserver(list => list.getEntries().forEach(e => { if (!e.hadRecentInput) {"
          " window.shifted += e.value; shifts.push(...e.sources.map(s => `${s.node?.id || s.node?.className || s.node?.nodeName} "
          "${JSON.stringify(s.previousRect)} ${JSON.stringify(s.currentRect)}`)) } })).observe({type: 'layout-shift', buffered: true})")


PHONES = [(400, 860), (360, 740)]


def at_hand(browser, name, board, controls):
    """On a phone undo and the pen stand at the board: they are seen with it without scrolling, whole, and as large as a finger."""
    browser.value("scrollTo(0, 0)")
    boxes = browser.value(f"{json.dumps([board, *controls])}.map(s => {{ const b = document.querySelector(s).getBoundingClientRect();"
                          " return [s, b.left, b.top, b.right, b.bottom] })")
    height, below = browser.value("innerHeight"), boxes[0][4]
    for control, left, top, right, bottom in boxes:
        check(left >= 0 and top >= 0 and right <= browser.width and bottom <= height,
              f"{name}: {control} is not seen without scrolling: {left}, {top} to {right}, {bottom} in {browser.width} x {height} px")
    for control, left, top, right, bottom in boxes[1:]:
        check(min(right - left, bottom - top) >= 44, f"{name}: {control} is {right - left} x {bottom - top} px, too small for a finger")
        # The first row of controls touches the board; a second one may follow.
        check(0 <= top - below <= (20 if control == controls[0] else 80), f"{name}: {control} is {top - below} px below the board")


def on_phones(browser, name, board, controls, out, scheme):
    """The page at the widths of phones, without loading it again."""
    for width, height in PHONES:
        browser.look(width, height, scheme, True)
        at_hand(browser, f"{name}, {width} px", board, controls)
        wide = browser.value("document.documentElement.scrollWidth")
        check(wide <= width, f"{name}: {wide} px wide in a window of {width}")
        check(browser.value("document.querySelector('header p')?.checkVisibility() ?? true"), f"{name}, {width} px: nothing says what the page is for")
        browser.screenshot(out / f"{name}-on-{width}.png")


def drawing(browser, address, out, width, height, scheme):
    name = f"draw-{width}-{scheme}"
    is_touch = width < 600
    browser.look(width, height, scheme, is_touch)
    browser.open(address)
    browser.value(SHIFTS)
    browser.wait(PICTURES, "the example in every style")
    browser.screenshot(out / f"{name}-example.png")
    before = browser.value(FIRST)
    steps = [i / 20 for i in range(21)]
    browser.draw([(.2 + .6 * t, .75 - .1 * (4 * (t - .5) ** 2 - 1)) for t in steps], is_touch)
    browser.draw([(.3, .3), (.31, .4)], is_touch)
    browser.draw([(.7, .3), (.69, .4)], is_touch)
    browser.wait(f"{FIRST} !== {json.dumps(before)}", "pictures of the drawing")
    check(browser.value("done.length") == 3, "three strokes, the example gone")
    browser.wait("!isAsking", "rest")
    # Keys: undo and redo, then a stroke by arrows.
    browser.value("canvas.focus()")
    browser.key("z", "KeyZ", 2)
    check(browser.value("done.length") == 2, "undone")
    browser.key("y", "KeyY", 2)
    check(browser.value("done.length") == 3, "redone")
    browser.key(" ", "Space")
    for _ in range(8):
        browser.key("ArrowRight")
    browser.key(" ", "Space")
    check(browser.value("done.length") == 4 and browser.value("done[3].points.length") == 9, "drawn by keys")
    browser.key("3", "Digit3")
    check(browser.value("document.getElementById('b').value") == "2", "the third style by its key")
    browser.value("document.getElementById('lay').value = 'fakes'; compare()")
    browser.wait("!isAsking", "rest")
    browser.screenshot(out / f"{name}.png")
    browser.value("document.getElementById('lay').value = 'labels'; compare(); wipe(30)")
    browser.value("canvas.blur()")
    common(browser, name, address)
    if is_touch:
        on_phones(browser, name, "#board", ["#undo", "#redo", "#clear", "#rub", "#width", "#ink"], out, scheme)
    return name


def saving(browser, address, out, folder):
    """A picture from a file, saved at its full size."""
    browser.look(1400, 1000, "light", False)
    browser.open(address)
    browser.wait(PICTURES, "the example in every style")
    file = folder / "disc.png"
    file.write_bytes(disc(300, 300, [0, 0, 0, 0]))
    before = browser.value(FIRST)
    node = browser.call("DOM.querySelector", nodeId=browser.call("DOM.getDocument")["root"]["nodeId"], selector="#file")
    browser.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node["nodeId"])
    browser.wait(f"{FIRST} !== {json.dumps(before)} && !isAsking", "pictures of the file")
    check(browser.value("[canvas.width, canvas.height]") == [300, 300], "the picture's own size")
    browser.screenshot(out / "picture.png")
    session, browser.session = browser.session, None
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.session = session
    browser.value("document.getElementById('b').value = '2'; compare(); document.getElementById('save').click()")
    name = browser.value("names()[2]")
    saved = folder / f"{name}.png"
    until = time.monotonic() + 30
    while not saved.exists():
        check(time.monotonic() < until, f"{saved} was not saved")
        time.sleep(0.05)
    time.sleep(0.2)
    check(struct.unpack(">II", saved.read_bytes()[16:24]) == (300, 300), "saved at its size")
    # The same by dropping and by pasting a file.
    for sides, event in [((120, 80), "new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})"),
                         ((80, 120), "new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})")]:
        content = list(disc(*sides, [255, 255, 255, 255]))
        browser.value(f"(data => {{ data.items.add(new File([new Uint8Array({content})], 'disc.png', {{type: 'image/png'}}));"
                      f" document.getElementById('board').dispatchEvent({event}) }})(new DataTransfer())")
        browser.wait(f"canvas.width === {sides[0]} && canvas.height === {sides[1]} && !isAsking", f"the picture of a {event[4:13]}")
    # A phrase, drawn.
    browser.value("document.getElementById('phrase').value = 'so tired'; document.getElementById('speak').requestSubmit()")
    browser.wait("document.querySelectorAll('#ideas button').length > 0 && done.at(-1).width === 512 && !isAsking", "ideas")
    browser.screenshot(out / "phrase.png")
    file.write_text("no picture")
    browser.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node["nodeId"])
    browser.wait("document.getElementById('status').textContent.includes('no picture that the browser can read')", "a message")
    common(browser, "saving", address)


def pace(browser, address):
    """Milliseconds from a change to its six pictures, on the page; and what the server says of it."""
    browser.open(address)
    browser.wait(PICTURES + " && !isAsking", "the example in every style")
    took = []
    for i in range(12):
        took.append(browser.value(
            f"(async () => {{ const t = performance.now(); add(stroke([[{100 + 20 * i}, 256], [{120 + 20 * i}, 300]], 12, '#000000'));"
            " while (isAsking) await wait(1); return [performance.now() - t, shown.millis.all, shown.millis.networks, shown.millis.labels] })()"))
    took.sort()
    middle = took[len(took) // 2]
    print(f"six styles: {middle[0]:.0f} ms from a stroke to its pictures (median of {len(took)}); in the server {middle[1]:.0f} ms, "
          f"of it networks {middle[2]:.0f}, discriminator {middle[3]:.0f}; fastest {took[0][0]:.0f} ms")


def training(browser, address, out, width, height, scheme):
    name = f"train-{width}-{scheme}"
    browser.look(width, height, scheme, width < 600)
    browser.open(address + "#training")
    browser.wait("document.querySelectorAll('.chart > svg').length > 3", "curves")
    browser.wait("document.getElementById('frame').naturalWidth > 0", "samples")
    browser.wait("runs[0].ticks.length > 0", "the first figures of the run in training")
    # Labels of a sheet are text, in the order of its columns.
    browser.wait("[...document.querySelectorAll('#labels span')].some(span => span.textContent.startsWith('openmoji'))", "labels of the samples")
    step = browser.value("runs[0].ticks.at(-1).step")
    browser.wait(f"runs[0].ticks.at(-1).step > {step}", "a further tick, by itself")
    check("left" in browser.value("document.querySelector('.run .note').textContent"), "time left")
    # A warning of a run, as text.
    browser.wait(f"[...document.querySelectorAll('.run li')].some(li => li.textContent === {json.dumps('step 20: ' + WARNING)})", "a warning")
    browser.value("document.getElementById('play').click()")
    browser.wait("!isPlaying", "the end of the film")
    # Which style a number on a saved film is, where a run has such.
    for run, told in [("2", NUMBERED.replace("in samples/", "In a saved film, as in samples/") + "."), ("0", "")]:
        browser.value(f"document.getElementById('film-run').value = '{run}'; showFilm()")
        browser.wait(f"document.getElementById('numbered').textContent === {json.dumps(told)}", "the styles by number")
    film = ("fetch('/api/film?run=0&kind=samples').then(r => r.arrayBuffer()).then(b => "
            "[b.byteLength, new TextDecoder('latin1').decode(b.slice(0, 64)).includes('acTL')])")
    size, is_animated = browser.value(film)
    check(is_animated and size > 10000, f"no film: {size} bytes")
    browser.value("document.getElementById('keep').click()")
    browser.wait("document.getElementById('keep').textContent === 'Save film'", "the film, saved")
    browser.screenshot(out / f"{name}.png")
    common(browser, name, address)


def reported(browser, binary, out, folder):
    """The pages of a sweep and of one of its runs: files that stand by themselves."""
    base = TINY.replace("\n[", "\n[base.").replace("steps = 100000", "steps = 80")
    (folder / "sweep.toml").write_text(f'seeds = [0]\n{base}\n[sweep.keys]\n"loss.cycle" = [2, 5]\n')
    subprocess.run([binary, "ablate", "sweep.toml", "--device", "flex", "--out", "sweep"], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server, address = served(folder)
    try:
        for page, name in [("sweep/report.html", "sweep"), ("sweep/s001-0/report.html", "report")]:
            for width, height, scheme in [(1400, 1000, "light"), (400, 860, "dark")]:
                stands_alone(browser, address, page, (width, height, scheme), out / f"{name}-{width}-{scheme}.png")
    finally:
        server.shutdown()


def stands_alone(browser, address, page, look, shot):
    browser.look(*look, False)
    browser.open(address + page)
    name, width = shot.stem, look[0]
    wide = browser.value("document.documentElement.scrollWidth")
    check(wide <= width, f"{name}: {wide} px wide")
    # Tables and the words of charts fit.
    over = browser.value("[...document.querySelectorAll('.wide')].map(table => table.scrollWidth - table.clientWidth)")
    check(over and max(over) <= 0, f"{name}: tables are wider than their place by {over} px")
    cut = browser.value("[...document.querySelectorAll('.chart svg')].flatMap(svg => [...svg.querySelectorAll('text')].filter(text => "
                        "text.getBoundingClientRect().left < svg.getBoundingClientRect().left).map(text => text.textContent))")
    check(not cut, f"{name}: cut at the left: {cut}")
    browser.screenshot(shot)
    # The slider goes to the first moment; a picture enlarges, until the next click.
    browser.value("(slider => { slider.value = 0; slider.oninput() })(document.querySelector('.film input'))")
    check(browser.value("document.querySelector('.film .moment').classList.contains('on')"), f"{name}: not the first moment")
    told, title = browser.value("[document.querySelector('.film output').value, document.querySelector('.film .moment.on img').title]")
    check(told == title, f"{name}: the slider says {told} of {title}")
    browser.value("document.querySelector('.moment.on .cell').click()")
    check(browser.value("document.querySelector('dialog').open && document.querySelector('dialog canvas').width > 90"), f"{name}: not enlarged")
    browser.value("document.querySelector('dialog').click()")
    check(not browser.value("document.querySelector('dialog').open"), f"{name}: still enlarged")
    for event in browser.events:
        if event.get("method") == "Network.requestWillBeSent":
            url = event["params"]["request"]["url"]
            check(url.startswith((address + page, address + "favicon.ico", "data:", "about:")), f"{name}: asked {url}")
        check(event.get("method") != "Runtime.exceptionThrown", json.dumps(event)[:600])
    browser.events.clear()


def served(folder):
    """A folder over HTTP, and its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/"


def as_translated(browser, binary, site, name):
    """The page shows what `translate` makes of the board, at its size and by the rules for a drawing's paper."""
    board, styles = browser.value(
        "[document.getElementById('board').toDataURL('image/png').split(',')[1], JSON.parse(document.getElementById('about').textContent).styles]")
    (site / "board.png").write_bytes(base64.b64decode(board))
    ruled = 0
    for style in ["openmoji", "twemoji", "noto"]:
        apart = {}
        for paper in ["auto", "redraw"]:
            file = f"{style}-{paper}.png"
            subprocess.run([binary, "translate", "--to", style, "--paper", paper, "--device", "flex", "--out", file, "--force", "board.png"], cwd=site, check=True,
                           stdout=subprocess.DEVNULL)
            apart[paper] = browser.value(
                f"(async () => {{ const image = await createImageBitmap(await (await fetch('{file}')).blob()),"
                f" own = document.querySelectorAll('#styles canvas')[{styles.index(style)}], other = document.createElement('canvas');"
                " Object.assign(other, {width: image.width, height: image.height}).getContext('2d').drawImage(image, 0, 0);"
                " if (own.width !== other.width || own.height !== other.height) return 256;"
                " const [a, b] = [own, other].map(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data);"
                " return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0) })()")
        print(f"{name}: {style} is {apart['auto']} of 255 from `translate`, {apart['redraw']} from `translate --paper redraw`")
        check(apart["auto"] <= 2, f"{name}: {style} is {apart['auto']} of 255 from what `translate` makes")
        ruled = max(ruled, apart["redraw"])
    check(ruled > 10, f"{name}: no rule for paper is seen: {ruled} of 255")


# Draws on the exported page from within, so that nothing but the page is timed: a ring, then six strokes, each once all is at
# rest, and a picture that is saved before it is whole. Cards are looked at once a frame.
FOLLOWED = """(async () => {
  const board = document.getElementById('board'), box = board.getBoundingClientRect(), cards = [...document.querySelectorAll('#styles canvas')];
  const probe = Object.assign(document.createElement('canvas'), {width: 64, height: 64}).getContext('2d', {willReadFrequently: true});
  probe.imageSmoothingQuality = 'medium';
  const look = card => { probe.drawImage(card, 0, 0, 64, 64); return probe.getImageData(0, 0, 64, 64).data; };
  const differ = (a, b) => a.some((value, i) => value !== b[i]);
  const pen = (kind, x, y) => board.dispatchEvent(new PointerEvent(kind, {
    bubbles: true, button: 0, buttons: 1, pointerId: 1, clientX: box.x + box.width * x, clientY: box.y + box.height * y}));
  const stroke = x => { pen('pointerdown', x, .45); pen('pointermove', x, .55); pen('pointerup', x, .55); };
  const frame = () => new Promise(done => requestAnimationFrame(done));
  const isWhole = () => document.documentElement.dataset.ready === 'yes';
  const rest = async () => { while (!isWhole()) await frame(); };
  const ring = t => [.5 + .38 * Math.cos(t), .5 + .38 * Math.sin(t)];
  document.getElementById('clear').click();
  await rest();
  let was = cards.map(look), stood = 0, last = performance.now();
  const began = last, changes = cards.map(() => 0);
  pen('pointerdown', ...ring(0));
  for (let n = 1; n <= 130 && last - began < 10000; n++) {
    pen('pointermove', ...ring(n / 20));
    await frame();
    const now = performance.now();
    stood = Math.max(stood, now - last);
    last = now;
    cards.forEach((card, i) => { const is = look(card); if (differ(is, was[i])) { was[i] = is; changes[i]++; } });
  }
  const each = (last - began) / Math.min(...changes), strokes = [];
  pen('pointerup', ...ring(6.5));
  await rest();
  for (let n = 0; n < 6; n++) {
    was = cards.map(look);
    const from = performance.now();
    let first = 0, all = 0, ms = 0;
    stroke(.25 + .1 * n);
    do {
      await frame();
      ms = performance.now() - from;
      const drawn = cards.filter((card, i) => differ(look(card), was[i])).length;
      if (drawn) first ||= ms;
      if (drawn === cards.length) all ||= ms;
    } while (!isWhole() && ms < 60000);
    strokes.push({first, all, whole: ms});
  }
  const saved = new Promise(done => { HTMLAnchorElement.prototype.click = function () { done(this.href); }; });
  pen('pointerdown', .3, .35); pen('pointerup', .3, .35);
  document.querySelector('#styles figcaption a').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));
  const href = await saved;
  delete HTMLAnchorElement.prototype.click;
  return {each, stood, strokes, isSavedWhole: isWhole() && href === cards[0].toDataURL('image/png')};
})()"""
# Milliseconds: from a stroke to the first picture of it, and that the page stands still; two loaded cores keep them easily.
FIRST_MAX, STILL_MAX = 1000, 300


def followed(browser, name):
    """Pictures follow the pen, quick ones first, and the pen never waits for them."""
    told = browser.value(FOLLOWED)
    first, all_styles, whole = ([round(stroke[key]) for stroke in told["strokes"]] for key in ["first", "all", "whole"])

    def middle(values):
        return sorted(values)[len(values) // 2]
    print(f"{name}: from a stroke to its first picture {middle(first)} ms, to six {middle(all_styles)}, to six at full size {middle(whole)} "
          f"(medians of {len(first)}; slowest first picture {max(first)}); while the pen moves a picture of each style every "
          f"{told['each'] or 0:.0f} ms, longest without a frame {told['stood']:.0f} ms")
    check(0 < min(first) and max(first) <= FIRST_MAX, f"{name}: the first picture came {first} ms after strokes, {FIRST_MAX} are allowed")
    # No number where a style had no picture: it is divided by none.
    check(told["each"] is not None, f"{name}: a style had no picture while the pen moved")
    check(told["stood"] <= STILL_MAX, f"{name}: the page stood still for {told['stood']:.0f} ms while the pen moved, {STILL_MAX} are allowed")
    check(all(0 < quick < full for quick, full in zip(all_styles, whole)),
          f"{name}: no quick pictures before the full ones: {all_styles} and {whole} ms after strokes")
    check(told["isSavedWhole"], f"{name}: a picture was saved before it was at full size")


def exported(browser, binary, runtime, out, folder):
    """The page of `demotic export --web`, from a server of files alone."""
    subprocess.run([binary, "export", "built-in", "--web", "site", "--runtime", os.path.abspath(runtime)], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)
    server, address = served(folder / "site")
    ready = "document.documentElement.dataset.ready === 'yes'"
    first = "document.querySelector('#styles canvas').toDataURL()"
    try:
        for width, height, scheme in [(1400, 1000, "light"), (400, 860, "dark")]:
            name = f"exported-{width}-{scheme}"
            browser.look(width, height, scheme, False)
            browser.open(address)
            browser.wait(ready, "the example in every style")
            if scheme == "light":
                as_translated(browser, binary, folder / "site", name)
                # A pen that is too thin for the network is widened for it.
                (folder / "thin.png").write_bytes(
                    png(512, 512, lambda x, y: [0, 0, 160, 255] if abs(((x - 256) ** 2 + (y - 256) ** 2) ** .5 - 180) < 2 else [255] * 4))
                before = browser.value(first)
                node = browser.call("DOM.querySelector", nodeId=browser.call("DOM.getDocument")["root"]["nodeId"], selector="#file")
                browser.call("DOM.setFileInputFiles", files=[str(folder / "thin.png")], nodeId=node["nodeId"])
                browser.wait(f"{first} !== {json.dumps(before)} && {ready}", "pictures of the thin pen")
                as_translated(browser, binary, folder / "site", f"{name}, thin")
            before = browser.value(first)
            x, y, side, _ = browser.place("#board")
            for kind, share in [("mousePressed", .3), ("mouseMoved", .5), ("mouseMoved", .7), ("mouseReleased", .7)]:
                browser.call("Input.dispatchMouseEvent", type=kind, x=x + side * share, y=y + side / 2, button="left",
                             buttons=int(kind != "mouseReleased"), clickCount=1)
            browser.wait(f"{first} !== {json.dumps(before)} && {ready}", "pictures of the stroke")
            wide = browser.value("document.documentElement.scrollWidth")
            check(wide <= width, f"{name}: {wide} px wide")
            told = browser.value("document.getElementById('status').textContent")
            check("in this browser" in told, told)
            browser.screenshot(out / f"{name}.png")
            print(f"{name}: {told}")
            followed(browser, name)
            # What stands when the pen rests is the full picture.
            if scheme == "light":
                as_translated(browser, binary, folder / "site", f"{name}, drawn")
            else:
                on_phones(browser, name, "#board", ["#undo", "#clear", "#ink", ".file"], out, scheme)
                browser.look(width, height, scheme, False)
            # A picture that is not square goes on into the square, and comes back in its own shape.
            file = folder / "wide.png"
            node = browser.call("DOM.querySelector", nodeId=browser.call("DOM.getDocument")["root"]["nodeId"], selector="#file")

            def bring(picture, shape):
                file.write_bytes(picture)
                # It comes back with the board's next full pictures.
                browser.value("delete document.documentElement.dataset.ready")
                browser.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node["nodeId"])
                browser.wait(f"{ready} && ({shape})(document.querySelector('#styles canvas'))", "results of the shape of the file")

            def at(x, y):
                return browser.value(f"[...document.getElementById('board').getContext('2d').getImageData({x}, {y}, 1, 1).data]")
            ground = [40, 90, 160, 255]
            bring(disc(300, 150, ground), "c => c.width === 2 * c.height")
            check(at(3, 3) == ground, f"{name}: above the picture stands {at(3, 3)}, not its ground")
            browser.screenshot(out / f"{name}-wide.png")

            # data.fit = "auto": a plain edge goes on in its colour, any other one as the picture's mirror image.
            def shaded(along, across):
                return ground if across < 10 else [int(255 * along / 300), 255 - int(255 * across / 150), 90, 255]
            for is_wide in [True, False]:
                if is_wide:
                    bring(png(300, 150, shaded), "c => c.width === 2 * c.height")
                else:
                    bring(png(150, 300, lambda x, y: shaded(y, x)), "c => c.height === 2 * c.width")

                def of(along, across):
                    return at(along, across) if is_wide else at(across, along)
                for along in [5, 140, 300, 500]:
                    check(of(along, 3) == ground, f"{name}: beside a plain edge stands {of(along, 3)}")
                    for far in [0, 1, 40, 127]:
                        own, beyond = of(along, 383 - far), of(along, 384 + far)
                        check(all(abs(a - b) <= 2 for a, b in zip(own, beyond)),
                              f"{name}: {far} pixels beyond the edge at {along} stands {beyond}, not {own}")
            browser.screenshot(out / f"{name}-tall.png")
            for event in browser.events:
                if event.get("method") == "Network.requestWillBeSent":
                    url = event["params"]["request"]["url"]
                    check(url.startswith((address, "data:", "blob:", "about:")), f"{name}: asked {url}")
                check(event.get("method") != "Runtime.exceptionThrown", json.dumps(event)[:600])
            browser.events.clear()
    finally:
        server.shutdown()


class Files(http.server.SimpleHTTPRequestHandler):
    """A server of files that says nothing."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}

    def log_message(self, *_):
        pass


def serve(binary, arguments, folder):
    server = subprocess.Popen([binary, "serve", "--port", "0", "--device", "flex", *arguments], cwd=folder, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    address = server.stdout.readline().strip()
    check(address.startswith("http://127.0.0.1:"), f"no address: {address}")
    return server, address


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--binary", default="target/release/demotic")
    arguments.add_argument("--out", default=None, help="folder for screenshots; a temporary one without it")
    arguments.add_argument("--runtime", default=None, help="package/dist of onnxruntime-web, for the page of `demotic export --web`")
    arguments = arguments.parse_args()
    found = [shutil.which(name) for name in ["chromium", "chromium-browser", "google-chrome"]]
    program = next((path for path in found if path), None)
    if program is None:
        print("skipped: no Chromium on the path; on Debian: apt-get install chromium")
        sys.exit(77)
    binary = os.path.abspath(arguments.binary)
    check(os.access(binary, os.X_OK), f"no program to test, run `cargo build --release`: {binary}")
    out = pathlib.Path(arguments.out or tempfile.mkdtemp(prefix="demotic-page-"))
    out.mkdir(parents=True, exist_ok=True)
    started = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = pathlib.Path(temporary)
        try:
            server, address = serve(binary, [], folder)
            started.append(server)
            browser = Browser(program, folder / "profile")
            started.append(browser.process)
            for width, height in [(1400, 1000), (400, 860)]:
                for scheme in ["light", "dark"]:
                    drawing(browser, address, out, width, height, scheme)
            saving(browser, address, out, folder)
            pace(browser, address)
            if arguments.runtime:
                exported(browser, binary, arguments.runtime, out, folder)
            reported(browser, binary, out, folder)
            (folder / "tiny.toml").write_text(TINY)
            # A name as long as people give them, which must not widen the page.
            names = ["one", "two-" + "with-a-long-name-" * 5]
            for seed, run in enumerate(names):
                started.append(subprocess.Popen([binary, "train", "tiny.toml", "--set", f"seed={seed}", "--device", "flex", "--out", run], cwd=folder,
                                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            until = time.monotonic() + 120
            while not all((folder / run / "stats.jsonl").exists() for run in names):
                check(time.monotonic() < until, "the trainings do not begin")
                time.sleep(0.1)
            # A run that was stopped before its first checkpoint, warned.
            (folder / "warned").mkdir()
            shutil.copy(folder / names[0] / "config.toml", folder / "warned")
            tick = (folder / names[0] / "stats.jsonl").read_text().split("\n")[0]
            warning = json.dumps({"event": "warning", "step": 20, "text": WARNING})
            (folder / "warned" / "stats.jsonl").write_text(f"{tick}\n{warning}\n")
            header = {"facts": [{"topic": "names", "text": NUMBERED}], "settings": [], "log_bytes": {}}
            (folder / "warned" / "header.json").write_text(json.dumps(header))
            names.append("warned")
            server, address = serve(binary, [word for run in names for word in ["--run", run]], folder)
            started.append(server)
            for width, height in [(1400, 1000), (400, 860)]:
                for scheme in ["light", "dark"]:
                    training(browser, address, out, width, height, scheme)
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()
    print(f"all as it should be; screenshots: {out}")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as problem:
        sys.exit(f"failed: {problem}")
