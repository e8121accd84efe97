/**
 * MessagePack, as far as hub messages need it, and the length prefix around each of
 * them. Written by hand, so that these tests share nothing with the server's encoder.
 */

/** A float, since JavaScript does not tell 1 from 1.0. */
export class Float {
  /** @param {number} value */
  constructor(value) {
    this.value = value;
  }
}

/** An extension value: its type, and its bytes. */
export class Extension {
  /** @param {number} type @param {Buffer} data */
  constructor(type, data) {
    this.type = type;
    this.data = data;
  }
}

/** Bytes from hexadecimal text; spaces are for the reader. @param {string} text */
export function hex(text) {
  return Buffer.from(text.replaceAll(/\s/g, ""), "hex");
}

/** The shortest form of a value. @returns {Buffer} */
export function encode(value) {
  if (value === null || value === undefined) return hex("c0");
  if (typeof value === "boolean") return hex(value ? "c3" : "c2");
  if (typeof value === "number") return Number.isInteger(value) ? encodeInteger(value) : encodeFloat(value);
  if (typeof value === "string") return encodeText(value);
  if (value instanceof Float) return encodeFloat(value.value);
  if (Buffer.isBuffer(value)) return Buffer.concat([sized(value.length, null, "c4", "c5", "c6"), value]);
  if (Array.isArray(value)) return Buffer.concat([sized(value.length, [0x90, 15], null, "dc", "dd"), ...value.map(encode)]);
  const entries = Object.entries(value);
  return Buffer.concat([sized(entries.length, [0x80, 15], null, "de", "df"), ...entries.flat().map(encode)]);
}

function encodeText(text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([sized(bytes.length, [0xa0, 31], "d9", "da", "db"), bytes]);
}

/** The head of a value of some length: in the first byte if it fits, or 1, 2 or 4 bytes after it. */
function sized(length, short, one, two, four) {
  if (short && length <= short[1]) return Buffer.from([short[0] | length]);
  if (one && length <= 0xff) return Buffer.concat([hex(one), big(length, 1)]);
  if (length <= 0xffff) return Buffer.concat([hex(two), big(length, 2)]);
  return Buffer.concat([hex(four), big(length, 4)]);
}

/** A whole number in so many bytes, most significant first. */
function big(value, bytes) {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)));
  return buffer.subarray(8 - bytes);
}

function encodeInteger(value) {
  if (value >= -32 && value <= 127) return big(value, 1);
  if (value < 0) return integer(value >= -0x80 ? "d0" : value >= -0x8000 ? "d1" : value >= -0x80000000 ? "d2" : "d3", value);
  return integer(value <= 0xff ? "cc" : value <= 0xffff ? "cd" : value <= 0xffffffff ? "ce" : "cf", value);
}

/** A whole number in the form that this head says, also where a shorter one would do. */
export function integer(head, value) {
  const bytes = { cc: 1, cd: 2, ce: 4, cf: 8, d0: 1, d1: 2, d2: 4, d3: 8 }[head];
  return Buffer.concat([hex(head), big(value, bytes)]);
}

function encodeFloat(value) {
  const buffer = Buffer.alloc(9, 0xcb);
  buffer.writeDoubleBE(value, 1);
  return buffer;
}

/** The one value that the bytes hold; anything after it is an error. @param {Buffer} bytes */
export function decode(bytes) {
  const reader = new Reader(bytes);
  const value = reader.value();
  if (reader.at !== bytes.length) throw new Error(`${bytes.length - reader.at} bytes after the value`);
  return value;
}

class Reader {
  /** @param {Buffer} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(length) {
    if (this.at + length > this.bytes.length) throw new Error("the value is longer than its message");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  number(bytes) {
    return Number(BigInt(`0x${this.take(bytes).toString("hex")}`));
  }

  signed(bytes) {
    return Number(BigInt.asIntN(8 * bytes, BigInt(`0x${this.take(bytes).toString("hex")}`)));
  }

  value() {
    const head = this.number(1);
    if (head < 0x80) return head;
    if (head >= 0xe0) return head - 0x100;
    if (head < 0x90) return this.map(head & 15);
    if (head < 0xa0) return this.array(head & 15);
    if (head < 0xc0) return this.take(head & 31).toString();
    switch (head) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return Buffer.from(this.take(this.number(2 ** (head - 0xc4))));
      case 0xc7: case 0xc8: case 0xc9: return this.extension(this.number(2 ** (head - 0xc7)));
      case 0xca: return new Float(this.take(4).readFloatBE());
      case 0xcb: return new Float(this.take(8).readDoubleBE());
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return this.number(2 ** (head - 0xcc));
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: return this.signed(2 ** (head - 0xd0));
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return this.extension(2 ** (head - 0xd4));
      case 0xd9: case 0xda: case 0xdb: return this.take(this.number(2 ** (head - 0xd9))).toString();
      case 0xdc: case 0xdd: return this.array(this.number(2 ** (head - 0xdb)));
      case 0xde: case 0xdf: return this.map(this.number(2 ** (head - 0xdd)));
      default: throw new Error(`no value begins with ${head.toString(16)}`);
    }
  }

  array(length) {
    return Array.from({ length }, () => this.value());
  }

  map(length) {
    return Object.fromEntries(Array.from({ length }, () => [this.value(), this.value()]));
  }

  extension(length) {
    const type = this.signed(1);
    return new Extension(type, Buffer.from(this.take(length)));
  }
}

/**
 * A message with its length before it, in as few bytes as that takes or in more.
 *
 * @param {Buffer} body
 * @param {number} [prefixBytes]
 */
export function frame(body, prefixBytes = 1) {
  const groups = [];
  for (let rest = body.length; rest > 0 || groups.length < prefixBytes; rest >>>= 7) groups.push(rest & 0x7f);
  const prefix = groups.map((group, index) => (index < groups.length - 1 ? group | 0x80 : group));
  return Buffer.concat([Buffer.from(prefix), body]);
}

/** The bodies of the messages that the bytes hold; all of them must be whole. @param {Buffer} bytes */
export function unframe(bytes) {
  const bodies = [];
  let at = 0;
  while (at < bytes.length) {
    let length = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      if (at === bytes.length) throw new Error("the bytes end inside a length prefix");
      length += (bytes[at] & 0x7f) * 2 ** shift;
      more = bytes[at++] >= 0x80;
    }
    if (at + length > bytes.length) throw new Error("the bytes end inside a message");
    bodies.push(bytes.subarray(at, at + length));
    at += length;
  }
  return bodies;
}
