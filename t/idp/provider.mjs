// The certified npm oidc-provider, for test_npm_oidc.py: provider.mjs PORT CONFIGURATION-FILE
import { readFileSync } from "node:fs";
import { Provider } from "oidc-provider";

const [port, file] = process.argv.slice(2);
const { clients, jwks } = JSON.parse(readFileSync(file));
const people = {
  zoe: { sub: "zoe", email: "zoe@acme.example", given_name: "Zoë", family_name: "山田 Søn", groups: ["Everyone", "Köln, Büro"] },
};
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients,
  jwks,
  cookies: { keys: ["a key of the test"] },
  scopes: ["openid", "groups"],
  claims: { openid: ["sub"], email: ["email"], profile: ["given_name", "family_name"], groups: ["groups"] },
  findAccount: (_, id) => people[id] && { accountId: id, claims: () => people[id] },
  features: {
    devInteractions: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    jwtUserinfo: { enabled: true },
  },
  enabledJWA: {
    idTokenSigningAlgValues: ["RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"],
    userinfoSigningAlgValues: ["RS256", "ES256"],
    clientAuthSigningAlgValues: ["RS256", "ES256"],
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
