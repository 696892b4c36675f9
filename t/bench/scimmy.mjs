// npm's scimmy-routers on a port of 127.0.0.1, for t/bench/run scim: node scimmy.mjs PORT TOKEN USERS. Users u0, u1, … are there from
// the start. Says "ready" when it listens.
// Made fair: resources are kept in a Map, so that nothing is written to a disk; `userName eq` and ids have an index, as ours have, where
// scimmy's own way is to look at all; userNames are unique, as ours are; and express runs as in production. It is one process, since
// a Map cannot be shared by several.
import { randomUUID } from "node:crypto";

process.env.NODE_ENV = "production";
const { default: express } = await import("express");
const { default: SCIMMY } = await import("scimmy");
const { default: SCIMMYRouters } = await import("scimmy-routers");
const [port, token, users] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];

// A place for one kind of resource, whose `name` is unique and has no case.
const kept = (name) => {
  const all = new Map(), byName = new Map();
  const key = (resource) => resource[name].toLowerCase();
  const write = (id, resource) => {
    const now = new Date().toISOString(), before = all.get(id), taken = byName.get(key(resource));
    if (taken !== undefined && taken !== id) throw new SCIMMY.Types.Error(409, "uniqueness", `${name} is taken`);
    if (before) byName.delete(key(before));
    const after = { ...resource, id, meta: { created: before?.meta.created ?? now, lastModified: now } };
    all.set(id, after);
    byName.set(key(after), id);
    return after;
  };
  const find = (filter) => {
    const [comparison] = filter, [operator, wanted] = comparison[name] ?? [];
    if (filter.length > 1 || Object.keys(comparison).length > 1 || operator !== "eq") return filter.match([...all.values()]);
    return [all.get(byName.get(String(wanted).toLowerCase()))].filter(Boolean);
  };
  return {
    write,
    ingress: ({ id }, resource) => write(id ?? randomUUID(), resource),
    egress: ({ id, filter }) => (id ? all.get(id) : filter ? find(filter) : [...all.values()]),
    degress: ({ id }) => { byName.delete(key(all.get(id))); all.delete(id); },
  };
};

const people = kept("userName");
for (let i = 0; i < users; i++) people.write(randomUUID(), { userName: `u${i}`, active: true });
SCIMMY.Resources.declare(SCIMMY.Resources.User, people);
SCIMMY.Resources.declare(SCIMMY.Resources.Group, kept("displayName"));
const handler = (request) => {
  if (request.header("Authorization") !== `Bearer ${token}`) throw new Error("another token");
  return "okta";
};
express().use("/sso/okta/scim/acme/v2", new SCIMMYRouters({ type: "bearer", handler })).listen(port, "127.0.0.1", () => console.log("ready"));
