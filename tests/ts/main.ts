// A client of shop.py with the types that `socketeer types` wrote of it. What is marked as an error has to be one.
import { io, type Socket } from "socket.io-client";
import type { ClientToServerEvents, Item, Kitchen, PageItem, Receipt, Refusal, ServerToClientEvents, Size } from "./events";

declare const process: { argv: string[] };

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

const url = process.argv[2];
const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, { reconnection: false });
const kitchen: Socket<Kitchen.ServerToClientEvents, Kitchen.ClientToServerEvents> = io(`${url}/kitchen`, {
  reconnection: false,
});
const events: Record<string, unknown> = {};

socket.on("menu", (names, picture) => {
  same<typeof names, string[]>(true);
  events.menu = [names, picture instanceof Uint8Array ? picture.length : picture];
});
socket.on("ready", (receipt, ...notes) => {
  same<typeof receipt, Receipt>(true);
  events.ready = [receipt.totalPrice, notes];
});
socket.on("question", (text, ack) => {
  events.question = text;
  ack("yes");
});
socket.on("review", (review) => (events.review = review["the comment"]));
socket.on("table moved", (from: number, to: number) => from + to);
socket.on("closing", () => {});

async function main(): Promise<void> {
  const receipt = await socket.emitWithAck("order", { name: "tea", size: "small", count: 2 }, { name: "Ada", table: 4 });
  same<typeof receipt, Receipt>(true);
  const [first]: Item[] = receipt.items;
  same<(typeof first)["extras"], Item[]>(true);
  const pictured = await new Promise<[number, string]>((resolve) =>
    socket.emit("picture", new Uint8Array([1, 2, 3]), "menu", "guest", (size, tags) => resolve([size, tags])),
  );
  const page = await socket.emitWithAck("orders");
  same<typeof page, PageItem | undefined>(true);
  const nothing = await socket.emitWithAck("orders", 7);
  const sizes: { [key in Size]?: number } = await socket.emitWithAck("later");
  const echoed: unknown = await new Promise((resolve) => socket.emit("anything", 5, resolve));
  socket.emit("leave a review", { stars: 5, "the comment": "good" });
  socket.emit("leave a review", { stars: 5, "the comment": "good" }, false);
  await new Promise<void>((resolve) => socket.emit("leave a review", { stars: 4, "the comment": "fine" }, resolve));
  const refused = (await socket.emitWithAck("order", { name: "tea", size: "small", count: 0 }, { name: "Ada" })) as unknown;
  const cooked: boolean = await kitchen.emitWithAck("cooked", first);
  const { error } = refused as Refusal;
  console.log(
    JSON.stringify({
      ...events, receipt, pictured, page, nothing: nothing ?? "nothing", sizes, echoed, cooked,
      refused: [error.name, error.argument, error.path],
    }),
  );
  socket.disconnect();
  kitchen.disconnect();
}

main();

// Wrong uses. Each would compile if the types said less.
export function wrong(): void {
  // @ts-expect-error: there is no such event
  socket.emit("ordr");
  // @ts-expect-error: no size of that name
  socket.emit("order", { name: "tea", size: "huge" }, { name: "Ada" }, () => {});
  // @ts-expect-error: a field is missing
  socket.emit("order", { size: "small" }, { name: "Ada" }, () => {});
  // @ts-expect-error: a number as a name
  socket.emit("order", { name: "tea", size: "small", extras: [{ name: 1, size: "small" }] }, { name: "Ada" }, () => {});
  // @ts-expect-error: an argument is missing
  socket.emit("order", { name: "tea", size: "small" }, () => {});
  // @ts-expect-error: the answer is no string
  socket.emit("order", { name: "tea", size: "small" }, { name: "Ada" }, (answer: string) => answer);
  // @ts-expect-error: a tag that is not known
  socket.emit("picture", new Uint8Array(), "stranger", () => {});
  // @ts-expect-error: text where binary is asked for
  socket.emit("picture", "text", () => {});
  // @ts-expect-error: too many arguments
  socket.emit("orders", 1, 2, () => {});
  // @ts-expect-error: of another namespace
  kitchen.emit("order", { name: "tea", size: "small" });
  // @ts-expect-error: the server does not send it
  socket.on("men", () => {});
  // @ts-expect-error: the receipt has no such field
  socket.on("ready", (receipt) => receipt.price);
  // @ts-expect-error: an answer that the server does not understand
  socket.on("question", (text, ack) => ack("perhaps"));
}
