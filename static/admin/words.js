/** How connections, and what became of closing them, read. */

import { ApiError } from "../api.js";
import { clockSeconds, ownZone, shortDay } from "../time.js";

/** @typedef {import("./connections.js").Connection} Connection */
/** @typedef {import("./connections.js").Closed} Closed */

/** @type {Record<string, string>} */
const TRANSPORTS = { WebSockets: "WebSockets", ServerSentEvents: "Server-Sent Events", LongPolling: "Long polling" };

/** @type {Record<string, string>} */
const PROTOCOLS = { json: "JSON", messagepack: "MessagePack" };

const DAY_S = 24 * 60 * 60;

/** A length of time in its two largest units: `2 h 5 min`. @param {number} milliseconds */
export function lengthText(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  /** @type {[number, string][]} */
  const parts = [
    [Math.floor(seconds / DAY_S), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  const shown = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${count} ${unit}`).join(" ");
}

/** A moment on this device's clock, with its day. @param {number} moment */
export function momentText(moment) {
  return `${shortDay(moment, ownZone)}, ${clockSeconds(moment)}`;
}

/** @param {string} name */
export function transportWord(name) {
  return TRANSPORTS[name] ?? name;
}

/** @param {string | null} name */
export function protocolWord(name) {
  return name === null ? "no handshake yet" : (PROTOCOLS[name] ?? name);
}

/** Whose it is, for a person. @param {Connection} connection */
export function userName({ user }) {
  return user.name || user.id;
}

/** @param {number} count */
export function connectionsText(count) {
  return count === 1 ? "1 connection" : `${count.toLocaleString("en-GB")} connections`;
}

/** What waits for a client. @param {Connection["queue"]} queue */
export function queueText({ messages, bytes }) {
  return messages === 0 ? "nothing" : `${messages.toLocaleString("en-GB")} · ${bytesText(bytes)}`;
}

/** @param {number} bytes */
export function bytesText(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const kibibytes = bytes / 1024;
  return kibibytes < 1024 ? `${Math.round(kibibytes)} KiB` : `${(kibibytes / 1024).toFixed(1)} MiB`;
}

/** What became of it. @param {Closed} closed */
export function closedText({ closed, reach, nodes, silentWorkers }) {
  const here = `Closed ${connectionsText(closed)} on this node.`;
  const elsewhere =
    reach === "thisNode" ? "" : nodes === 1 ? " No other node was reached." : ` ${nodes - 1} other ${nodes === 2 ? "node was" : "nodes were"} told as well.`;
  const silent = silentWorkers ? ` ${silentText(silentWorkers)} What they have may still be open.` : "";
  return here + elsewhere + silent;
}

/** @param {number} count */
export function silentText(count) {
  return count === 1 ? "One worker thread did not answer in time." : `${count} worker threads did not answer in time.`;
}

/**
 * Why there is nothing newer to show.
 *
 * @param {unknown} error
 * @returns {{ state: "refused" | "offline", text: string }}
 */
export function troubleWords(error) {
  if (!(error instanceof ApiError)) return { state: "offline", text: `Something went wrong on this page: ${String(error)}` };
  switch (error.code) {
    case "forbidden":
      return { state: "refused", text: "Connections are for admins. Your sign-in does not have that role." };
    case "unreachable":
      return { state: "offline", text: "The server does not answer. What is shown is as it was; the page tries again by itself." };
    case "invalid_field":
      return { state: "offline", text: `The server does not accept this filter: ${error.message}` };
    default:
      return { state: "offline", text: `The server cannot say right now: ${error.message}` };
  }
}

/** Why something was not closed. @param {unknown} error */
export function closeProblem(error) {
  if (!(error instanceof ApiError)) return `Something went wrong on this page: ${String(error)}`;
  switch (error.code) {
    case "not_found":
      return "This node does not have that connection any more.";
    case "unreachable":
      return "No answer came, so it may or may not have been closed. Try again: it may be said twice.";
    case "forbidden":
      return "Not closed: only admins may do that.";
    default:
      return `Not closed: ${error.message}`;
  }
}
