/** Who gets a message: groups, users, ids. */

import { equal } from "../checks.mjs";
import { Inbox, unique } from "../environment.mjs";
import { until } from "../../waiting.mjs";

/** Three connections, with what each of them receives. */
async function three(env) {
  const connections = [await env.connect(), await env.connect(), await env.connect()];
  return connections.map((connection) => new Member(connection));
}

class Member {
  constructor(connection) {
    this.connection = connection;
    this.inbox = new Inbox(connection, "Send");
  }

  get id() {
    return this.connection.connectionId;
  }

  call(method, ...args) {
    return this.connection.invoke(method, ...args);
  }

  /** The messages received up to this one. */
  async before(mark) {
    await this.inbox.when(`${mark} arrives`, () => this.inbox.calls.some(([text]) => text === mark));
    return this.inbox.calls.splice(0).map(([text]) => text).filter((text) => text !== mark);
  }
}

/**
 * Has the first member send to an audience, and compares how often each one got it.
 *
 * @param {Member[]} members
 * @param {number[]} expected
 */
async function reaches(members, expected, method, ...args) {
  const mark = unique("mark");
  await members[0].call(method, ...args, "hello");
  await members[0].call("SendToAll", mark);
  const received = await Promise.all(members.map((member) => member.before(mark)));
  equal(received, expected.map((count) => Array(count).fill("hello")), `${method} ${JSON.stringify(args)}`);
}

export const audiences = {
  "all, all but some, the caller, the others": async (env) => {
    const [a, b, c] = await three(env);
    await reaches([a, b, c], [1, 1, 1], "SendToAll");
    await reaches([a, b, c], [1, 0, 1], "SendToAllExcept", [b.id]);
    await reaches([a, b, c], [0, 0, 0], "SendToAllExcept", [a.id, b.id, c.id]);
    await reaches([a, b, c], [1, 1, 1], "SendToAllExcept", []);
    await reaches([a, b, c], [1, 0, 0], "SendToCaller");
    await reaches([a, b, c], [0, 1, 1], "SendToOthers");
  },

  "connections by their ids": async (env) => {
    const [a, b, c] = await three(env);
    await reaches([a, b, c], [0, 1, 0], "SendToConnection", b.id);
    await reaches([a, b, c], [0, 0, 0], "SendToConnection", "nobody");
    await reaches([a, b, c], [0, 1, 1], "SendToConnections", [b.id, "nobody", c.id, b.id]);
    await reaches([a, b, c], [0, 0, 0], "SendToConnections", []);
  },

  "a group, several groups, a group but some, the others in it": async (env) => {
    const [a, b, c] = await three(env);
    const [one, other] = [unique("one"), unique("other")];
    await a.call("JoinGroup", one);
    await a.call("AddToGroup", b.id, one);
    await b.call("JoinGroup", other);
    await reaches([a, b, c], [1, 1, 0], "SendToGroup", one);
    await reaches([a, b, c], [0, 0, 0], "SendToGroup", one.toUpperCase());
    await reaches([a, b, c], [0, 0, 0], "SendToGroup", unique("empty"));
    await reaches([a, b, c], [1, 2, 0], "SendToGroups", [one, other]);
    await reaches([a, b, c], [0, 1, 0], "SendToGroupExcept", one, [a.id]);
    await reaches([a, b, c], [0, 1, 0], "SendToOthersInGroup", one);
    await reaches([c, a, b], [0, 1, 1], "SendToOthersInGroup", one);
  },

  "joining twice counts once, leaving and being removed end it": async (env) => {
    const [a, b, c] = await three(env);
    const group = unique("group");
    for (const member of [a, b, a]) await member.call("JoinGroup", group);
    await a.call("AddToGroup", "nobody", group);
    await a.call("RemoveFromGroup", c.id, group);
    await c.call("LeaveGroup", group);
    await reaches([a, b, c], [1, 1, 0], "SendToGroup", group);
    await a.call("LeaveGroup", group);
    await reaches([a, b, c], [0, 1, 0], "SendToGroup", group);
    await a.call("RemoveFromGroup", b.id, group);
    await reaches([a, b, c], [0, 0, 0], "SendToGroup", group);
  },

  "a group is gone with its last member": async (env) => {
    const { groups } = await env.counts();
    const connection = await env.connect();
    await connection.invoke("JoinGroup", unique("one"));
    await connection.invoke("JoinGroup", unique("other"));
    equal((await env.counts()).groups, groups + 2);
    await connection.stop();
    await until("the groups are gone", async () => (await env.counts()).groups === groups);
    await connection.start();
    equal((await env.counts()).groups, groups);
  },

  "users, on all their connections": async (env) => {
    const [ann, bob] = [unique("ann"), unique("bob")];
    const members = [];
    for (const user of [ann, ann, bob]) members.push(new Member(await env.connect({ token: await env.token(user) })));
    await reaches(members, [1, 1, 0], "SendToUser", ann);
    await reaches(members, [0, 0, 0], "SendToUser", ann.toUpperCase());
    await reaches(members, [0, 0, 0], "SendToUser", unique("nobody"));
    await reaches(members, [1, 1, 1], "SendToUsers", [ann, bob, ann]);
    await reaches(members, [0, 0, 1], "SendToUsers", [bob]);
  },

  "nobody is no user": async (env) => {
    const members = [new Member(await env.connect({ token: await env.token(unique("ann")) })), new Member(await env.connect())];
    equal(await members[1].call("GetUserIdentifier"), null);
    await reaches(members, [0, 0], "SendToUser", "");
  },

  "one message reaches clients of both protocols": async (env) => {
    const transport = env.transport === "ServerSentEvents" ? "LongPolling" : env.transport;
    const members = [];
    for (const protocol of ["json", "messagepack", "json"]) members.push(new Member(await env.connect({ protocol, transport })));
    const group = unique("group");
    for (const member of members) await member.call("JoinGroup", group);
    await reaches(members, [1, 1, 1], "SendToAll");
    await reaches(members, [1, 1, 1], "SendToGroup", group);
  },
};
