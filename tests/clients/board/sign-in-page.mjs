/** A sign-in page elsewhere, as an organisation has one: it hands tokens over and renews them. */

import { once } from "node:events";
import { createServer } from "node:http";

export class SignInPage {
  static async start() {
    const made = new SignInPage();
    made.server = createServer((request, response) => made.answer(request, response));
    made.server.listen(0, "127.0.0.1");
    await once(made.server, "listening");
    made.url = `http://127.0.0.1:${made.server.address().port}`;
    return made;
  }

  constructor() {
    /** Makes the tokens that it hands over and renews. @type {() => string} */
    this.token = () => "";
    /** What a renewal is answered with. */
    this.status = 200;
    this.renewals = 0;
    /** Where people were to be sent back to. @type {string[]} */
    this.returns = [];
  }

  answer(request, response) {
    const url = new URL(request.url, this.url);
    if (url.pathname === "/renew") return this.renew(request, response);
    const back = url.searchParams.get("return_to") ?? "";
    this.returns.push(back);
    const handed = new URLSearchParams({ access_token: this.token(), state: url.searchParams.get("state") ?? "" });
    response.writeHead(302, { location: `${back}#${handed}`, "set-cookie": "who=dora; SameSite=Lax; HttpOnly" });
    response.end();
  }

  renew(request, response) {
    this.renewals += 1;
    const knows = (request.headers.cookie ?? "").includes("who=dora");
    response.writeHead(knows ? this.status : 401, {
      "content-type": "application/json",
      "access-control-allow-origin": request.headers.origin ?? "",
      "access-control-allow-credentials": "true",
    });
    response.end(JSON.stringify({ accessToken: this.token() }));
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }
}
