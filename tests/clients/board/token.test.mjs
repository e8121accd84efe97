/** Where the page's token comes from, and what becomes of it. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { card, dispose, expect, page, state } from "./page.mjs";
import { SignInPage } from "./sign-in-page.mjs";
import { Client, Server, claims, secondsFromNow, sign } from "../support.mjs";
import { until } from "../waiting.mjs";

/** What the page does with another origin, and what a refused renewal makes the browser say. */
const ELSEWHERE = [/a request to 127/];
const REFUSED = [/status of (401|500)/, /WebSocket/];

/** @type {SignInPage} */
let elsewhere;
/** @type {Server} */
let server;

before(async () => {
  elsewhere = await SignInPage.start();
  server = await Server.serve({ args: ["--sign-in-url", `${elsewhere.url}/login?for=board`, "--token-renewal-url", `${elsewhere.url}/renew`] });
});
after(async () => {
  elsewhere?.close();
  await server?.dispose();
});

/** A dispatcher's token that is good for so long. */
const dora = (seconds, more = {}) => sign({ ...claims.dispatcher("north"), exp: secondsFromNow(seconds), ...more });

async function signedIn(query = "view=list") {
  const opened = await page(`${server.url}/?${query}`);
  await opened.getByTestId("sign-in-link").click();
  await state(opened, "live");
  return opened;
}

describe("a sign-in page elsewhere", () => {
  test("hands a token over, and the page goes on where it was", async () => {
    expect(...ELSEWHERE);
    elsewhere.token = () => dora(600);
    const opened = await signedIn("view=list&text=lift");
    assert.equal(elsewhere.returns.at(-1), `${server.url}/?view=list&text=lift`);
    assert.equal(new URL(opened.url()).hash, "", "the token is gone from the address");
    assert.equal(new URL(opened.url()).searchParams.get("text"), "lift");
    assert.equal(await opened.getByTestId("account-name").innerText(), "Dora Dispatcher");
    const kept = await opened.evaluate(() => [Object.keys(localStorage).length, document.cookie]);
    assert.deepEqual(kept, [0, ""], "the token is kept for the tab alone");
    await opened.reload();
    await state(opened, "live");
  });

  test("cannot sign anybody in by a link of somebody else's", async () => {
    expect(...ELSEWHERE);
    elsewhere.token = () => dora(600);
    const eve = sign({ ...claims.dispatcher("south"), sub: "eve", name: "Eve" });
    const opened = await page(`${server.url}/?view=list#access_token=${eve}&state=made-up`);
    await opened.getByTestId("confirm-sign-in").filter({ hasText: "Sign in as Eve" }).waitFor();
    assert.equal(new URL(opened.url()).hash, "");
    await opened.getByTestId("refuse-sign-in").click();
    await opened.getByTestId("sign-in-link").click();
    await state(opened, "live");

    // Nor does it make somebody who is signed in somebody else.
    await opened.goto(`${server.url}/?view=list&again#access_token=${eve}`);
    await opened.getByTestId("refuse-sign-in").filter({ hasText: "Stay Dora" }).click();
    await state(opened, "live");
    assert.equal(await opened.getByTestId("account-name").innerText(), "Dora Dispatcher");
    await opened.goto(`${server.url}/?view=list&once-more#access_token=${eve}`);
    await opened.getByTestId("confirm-sign-in").click();
    await state(opened, "live");
    assert.equal(await opened.getByTestId("account-name").innerText(), "Eve");
  });

  test("that hands over what is no token is told apart from one that does", async () => {
    const opened = await page(`${server.url}/#access_token=nonsense`);
    await opened.getByTestId("sign-in-notice").filter({ hasText: "not a JSON Web Token" }).waitFor();
    // Nothing on this page goes where an address says.
    await opened.goto(`${server.url}/?return_to=https://evil.example/`);
    await opened.getByTestId("sign-in-link").waitFor();
    const back = new URL(await opened.getByTestId("sign-in-link").getAttribute("href")).searchParams.get("return_to");
    assert.equal(new URL(back).origin, server.url);
  });
});

describe("a token that ends", () => {
  test("is renewed before, and no event is lost or doubled", async () => {
    expect(...ELSEWHERE, ...REFUSED);
    elsewhere.token = () => dora(9);
    const opened = await signedIn();
    const before = elsewhere.renewals;
    const client = new Client(server.url, sign(claims.admin()));
    const made = [];
    await until("it was renewed twice", async () => {
      made.push((await client.job()).body);
      return elsewhere.renewals >= before + 2;
    });
    made.push((await client.job()).body);
    for (const job of made) await card(opened, job).waitFor();
    await state(opened, "live");
    const shown = await opened.getByTestId("feed-line").evaluateAll((lines) => lines.map((line) => Number(line.dataset.sequence)));
    const { body } = await client.must("GET", "/api/events?limit=500");
    assert.deepEqual(shown.reverse(), body.items.map((event) => event.sequence));
    assert.equal(await opened.getByTestId("session-notice").isHidden(), true);
  });

  test("is spoken of in time when it cannot be renewed, and what is shown stays", async () => {
    expect(...ELSEWHERE, ...REFUSED);
    const client = new Client(server.url, sign(claims.admin()));
    const { body: job } = await client.job();
    elsewhere.token = () => dora(9);
    const opened = await signedIn();
    elsewhere.status = 500;
    const notice = opened.getByTestId("session-notice");
    await notice.filter({ hasText: "Your sign-in ends in less than a minute, and could not be renewed" }).waitFor();
    await notice.filter({ hasText: "has ended" }).waitFor();
    await state(opened, "signed-out");
    await card(opened, job).waitFor();
    assert.equal(await card(opened, job).getByTestId("reschedule").isDisabled(), true);

    elsewhere.status = 200;
    elsewhere.token = () => dora(600);
    const { body: missed } = await client.job();
    await opened.getByTestId("sign-in-again").click();
    await state(opened, "live");
    await card(opened, missed).waitFor();
  });

  test("may come back with another region, and the page shows that one", async () => {
    expect(...ELSEWHERE, ...REFUSED);
    const client = new Client(server.url, sign(claims.admin()));
    const { body: north } = await client.job({ region: "north" });
    const { body: south } = await client.job({ region: "south" });
    elsewhere.token = () => dora(9);
    const opened = await signedIn();
    await card(opened, north).waitFor();
    elsewhere.token = () => dora(600, { regions: ["south"] });
    await card(opened, south).waitFor();
    await card(opened, north).waitFor({ state: "detached" });
    await state(opened, "live");
  });

  test("is not renewed to be somebody else's", async () => {
    expect(...ELSEWHERE, ...REFUSED);
    elsewhere.token = () => dora(8);
    const opened = await signedIn();
    elsewhere.token = () => dora(600, { sub: "eve", name: "Eve" });
    await opened.getByTestId("session-notice").filter({ hasText: "has ended" }).waitFor();
    assert.equal(await opened.getByTestId("account-name").innerText(), "Dora Dispatcher");
    elsewhere.token = () => dora(600);
  });
});

test("the page may call where tokens are renewed, and nothing else", async () => {
  const policy = (await fetch(server.url)).headers.get("content-security-policy");
  assert.match(policy, new RegExp(`connect-src 'self' ${elsewhere.url.replaceAll(".", "\\.")};`));
  const plain = await Server.serve();
  try {
    assert.match((await fetch(plain.url)).headers.get("content-security-policy"), /connect-src 'self';/);
  } finally {
    await dispose(plain);
  }
});

test("an answer that nothing has changed leaves the page's policy as it is", async () => {
  const { headers } = await fetch(server.url);
  const again = await fetch(server.url, { headers: { "if-none-match": headers.get("etag") } });
  assert.deepEqual([again.status, again.headers.get("content-security-policy")], [304, null]);
});
