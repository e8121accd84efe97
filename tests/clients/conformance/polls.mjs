/** A Long Polling connection of which every request is a step of its own. */

import { until, within } from "../waiting.mjs";
import { TYPE, handshake, record } from "./hub.mjs";
import { ask } from "./wire.mjs";

export class Polls {
  /** A connection that has shaken hands, with no poll open. */
  static async open(server) {
    const polls = await Polls.reserve(server);
    await polls.poll();
    await polls.post(handshake());
    const { text } = await polls.poll();
    if (text !== "{}\x1e") throw new Error(`the handshake was answered with ${text}`);
    return polls;
  }

  static async reserve(server) {
    const { connectionId, connectionToken } = (await server.negotiate()).json;
    return new Polls(server, connectionId, `/testhub?id=${connectionToken}`);
  }

  constructor(server, id, path) {
    this.server = server;
    this.id = id;
    this.path = path;
  }

  /** A poll that is answered, or waits. */
  start() {
    return ask(this.server.url + this.path);
  }

  /**
   * A poll that certainly waits at the server: another one had to end for it. Requests of
   * their own connections may overtake each other, so it is the answer that tells.
   */
  async waiting() {
    const both = [this.start(), this.start()];
    const ended = await within("one of two polls ends", Promise.race(both.map((poll, index) => poll.answer.then((answer) => ({ index, answer })))));
    if (ended.answer.status !== 204) throw new Error(`a poll was answered with ${ended.answer.status} ${ended.answer.text}`);
    return both[1 - ended.index];
  }

  async poll() {
    return within("the poll is answered", this.start().answer);
  }

  async post(body) {
    return this.server.request(this.path, { method: "POST", body });
  }

  async call(target, ...args) {
    return this.post(record({ type: TYPE.invocation, invocationId: "1", target, arguments: args }));
  }

  async delete() {
    return this.server.request(this.path, { method: "DELETE" });
  }

  /** Polls until there is data, or an answer that is not 200. */
  async data() {
    return until("a poll brings something", async () => {
      const answer = await this.poll();
      return answer.status !== 200 || answer.body.length > 0 ? answer : undefined;
    });
  }
}
