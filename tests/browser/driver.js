// Drive Chromium for the Python tests: one JSON command a line on stdin, one JSON answer a line on stdout.
"use strict";
const { chromium } = require("playwright-core");
const readline = require("node:readline");

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const pages = [];
let browser;

function listen(page) {
  const log = { console: [], errors: [], sockets: [], requests: [] };
  page.on("console", (message) => log.console.push({ type: message.type(), text: message.text(), url: message.location().url }));
  page.on("pageerror", (error) => log.errors.push(String(error.stack ?? error)));
  page.on("request", (request) => log.requests.push({ method: request.method(), url: request.url() }));
  page.on("websocket", (socket) => {
    const frames = { url: socket.url(), sent: [], received: [] };
    const shown = (frame) => (typeof frame.payload === "string" ? frame.payload : `<${frame.payload.length} bytes>`);
    socket.on("framesent", (frame) => frames.sent.push(shown(frame)));
    socket.on("framereceived", (frame) => frames.received.push(shown(frame)));
    log.sockets.push(frames);
  });
  return log;
}

// Runs in the page: what Chromium does with a file that a person chose, pasted or dropped.
function offer({ data, mime, how }) {
  const list = new DataTransfer();
  list.items.add(new File([Uint8Array.from(atob(data), (character) => character.charCodeAt(0))], "picture", { type: mime }));
  const events = {
    dialog: ["file", () => new Event("change", { bubbles: true })],
    paste: ["text", () => new ClipboardEvent("paste", { clipboardData: list, bubbles: true, cancelable: true })],
    drop: ["logs", () => new DragEvent("drop", { dataTransfer: list, bubbles: true, cancelable: true })],
  };
  const [id, event] = events[how];
  const target = document.getElementById(id);
  if (how === "dialog") target.files = list.files;
  target.dispatchEvent(event());
}

const commands = {
  async open({ url, options }) {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(10_000);
    const page = await context.newPage();
    pages.push({ page, context, log: listen(page) });
    await page.goto(url);
    return pages.length - 1;
  },
  async call({ page, method, args }) {
    let target = pages[page].page;
    for (const part of method.split(".").slice(0, -1)) target = target[part];
    const result = await target[method.split(".").at(-1)](...args);
    return method === "waitForSelector" ? null : result;
  },
  async until({ page, expression, timeout }) {
    // Not waitForFunction: it needs eval in the page, which the page's policy forbids.
    const end = Date.now() + timeout * 1000;
    while (!(await pages[page].page.evaluate(expression))) {
      if (Date.now() > end) throw new Error(`not true in ${timeout} s: ${expression}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  },
  async offer({ page, data, mime, how }) {
    return pages[page].page.evaluate(offer, { data, mime, how });
  },
  async log({ page }) {
    return pages[page].log;
  },
  async close({ page }) {
    await pages[page].context.close();
    return null;
  },
};

async function main() {
  browser = await chromium.launch({ executablePath: process.argv[2], headless: true, args: ARGS });
  process.stdout.write(JSON.stringify({ value: browser.version() }) + "\n");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { command, ...rest } = JSON.parse(line);
    let answer;
    try {
      answer = { value: (await commands[command](rest)) ?? null };
    } catch (error) {
      answer = { error: String(error.message ?? error) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
  await browser.close();
}

main().catch((error) => {
  process.stderr.write(String(error.stack ?? error) + "\n");
  process.exit(1);
});
