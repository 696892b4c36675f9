// What jose and @okta/jwt-verifier say of signed tokens: a JSON line {token, jwks, now, issuer, client, nonce} each on stdin, on stdout
// {jose, okta}, each "yes" or why not. jose judges the signature alone; the clock of both is the line's.
import { createServer } from "node:http";
import { createInterface } from "node:readline";

let now, published;
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...parts) { super(...(parts.length ? parts : [now * 1000])); }
  static now() { return now * 1000; }
};
const { compactVerify, createLocalJWKSet } = await import("jose");
const { default: OktaJwtVerifier } = await import("@okta/jwt-verifier");
const server = createServer((_, answer) => answer.setHeader("Content-Type", "application/json").end(published));
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const keys = `http://127.0.0.1:${server.address().port}/keys`;

// njwt, below Okta's verifier, throws at some broken tokens where nobody can catch it.
let uncaught = () => {};
process.on("uncaughtException", (error) => uncaught(error));
const said = (ask) => Promise.race([ask, new Promise((_, reject) => { uncaught = reject; })])
  .then(() => "yes", (error) => `no: ${error.message}`);
const joseSays = async ({ token, jwks }) => compactVerify(token, createLocalJWKSet(jwks));
const oktaSays = async ({ token, issuer, client, nonce }) =>
  new OktaJwtVerifier({ issuer, clientId: client, jwksUri: keys }).verifyIdToken(token, client, nonce);

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  now = asked.now;
  published = JSON.stringify(asked.jwks);
  console.log(JSON.stringify({ jose: await said(joseSays(asked)), okta: await said(oktaSays(asked)) }));
}
server.close();
