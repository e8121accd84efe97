/** The Debian package, made of the debug build: what is in it, and that it can be installed. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { access, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { temporaryFolder } from "./support.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

/** @type {string} */
let folder;
/** @type {string} */
let debianPackage;

before(async () => {
  folder = await temporaryFolder();
  const { stdout } = await run(join(root, "scripts/package"), ["--profile", "dev"], { cwd: root });
  debianPackage = stdout.trim();
});

after(() => rm(folder, { recursive: true, force: true }));

/** The package's files in a folder. */
async function unpacked() {
  const to = join(folder, "unpacked");
  await run("dpkg-deb", ["--extract", debianPackage, to]);
  return to;
}

test("the program, its settings, its pages and its service are in it", async () => {
  const place = await unpacked();
  const program = join(place, "usr/bin/signalbox");
  const { stdout: version } = await run(program, ["--version"]);
  const { stdout: about } = await run("dpkg-deb", ["--showformat", "${Package} ${Version}", "--show", debianPackage]);
  assert.equal(`${version.trim()}-1`, about);

  const settings = join(place, "etc/signalbox/signalbox.toml");
  const env = { ...process.env, SIGNALBOX_JWT_SECRET: "x".repeat(32) };
  await run(program, ["config", "check", "--config", settings], { env });

  const unit = await readFile(join(place, "usr/lib/systemd/system/signalbox.service"), "utf8");
  const [, command, config] = /^ExecStart=(\S+) serve --config (\S+)$/m.exec(unit) ?? [];
  for (const path of [command, config]) await access(join(place, path));

  const pages = await readdir(join(place, "usr/share/man/man1"));
  for (const name of ["signalbox", "signalbox-serve", "signalbox-backup"]) {
    assert.ok(pages.includes(`${name}.1.gz`), `${name} has a page`);
  }
  await run("bash", ["-n", join(place, "usr/share/bash-completion/completions/signalbox")]);
  for (const path of ["zsh/vendor-completions/_signalbox", "fish/vendor_completions.d/signalbox.fish"]) {
    assert.match(await readFile(join(place, "usr/share", path), "utf8"), /signalbox/);
  }
});

// Where systemd runs, the scripts would speak to it.
const isSafe = process.getuid?.() === 0 && !existsSync("/run/systemd/system");

test("it is installed and purged without a trace", { skip: !isSafe && "it needs root, and no systemd" }, async () => {
  const place = join(folder, "root");
  await mkdir(join(place, "var/lib/dpkg/updates"), { recursive: true });
  await mkdir(join(place, "var/lib/dpkg/info"));
  await writeFile(join(place, "var/lib/dpkg/status"), "");
  // Libraries are the machine's own, and so is what the scripts call.
  const how = [`--root=${place}`, "--force-depends", "--force-script-chrootless", `--log=${join(folder, "dpkg.log")}`];
  await run("dpkg", [...how, "--install", debianPackage]);
  await run(join(place, "usr/bin/signalbox"), ["--version"]);
  await assert.rejects(access(join(place, "etc/systemd")), "no service is enabled before it has a secret");
  await run("dpkg", [...how, "--purge", "signalbox"]);
  for (const path of ["usr", "etc/signalbox"]) {
    await assert.rejects(access(join(place, path)), `${path} is gone`);
  }
});
