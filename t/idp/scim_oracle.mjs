// What npm's packages make of SCIM's PATCH and filters: for each JSON line on stdin, {oracle: result} on stdout.
// {kind: "User" or "Group", resource, Operations}: the patched resource, or {refused: why}.
// {resources, filter}: the ids of those that match, or {refused: why}.
import { createInterface } from "node:readline";
import SCIMMY from "scimmy";
import scimPatch from "scim-patch";
import parseFilter from "scim2-parse-filter";

const PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
SCIMMY.Schemas.User.extend(SCIMMY.Schemas.EnterpriseUser, false);

const copy = (value) => JSON.parse(JSON.stringify(value));
const said = async (ask) => {
  try { return await ask(); } catch (error) { return { refused: String(error.message) }; }
};

const scimmyPatches = async ({ kind, resource, Operations }) => {
  const before = new SCIMMY.Schemas[kind](copy(resource), "in");
  const after = await new SCIMMY.Messages.PatchOp({ schemas: [PATCH_OP], Operations: copy(Operations) }).apply(before);
  return copy(after ?? before); // nothing: nothing has changed
};
const scimPatchPatches = ({ resource, Operations }) => {
  scimPatch.patchBodyValidation({ schemas: [PATCH_OP], Operations });
  return scimPatch.scimPatch(copy(resource), copy(Operations));
};

// Both matchers know no schema: what URNs name is shown to them under every name that they might look for.
const USER = "urn:ietf:params:scim:schemas:core:2.0:User";
const named = (urn, attributes) => Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`${urn}:${name}`, value]));
const shown = (resource) => ({ ...resource, ...named(USER, resource), [USER]: resource,
  ...Object.assign({}, ...Object.keys(resource).filter((name) => name.startsWith("urn:")).map((urn) => named(urn, resource[urn]))) });
const ids = (resources, matches) => resources.filter((resource) => matches(shown(resource))).map(({ id }) => id);

const scimmyFinds = ({ resources, filter }) => {
  const parsed = new SCIMMY.Types.Filter(filter);
  // It stumbles over a complex attribute without a value: then that resource does not match.
  return ids(resources, (resource) => { try { return parsed.match([resource]).length; } catch { return false; } });
};
const parseFilterFinds = ({ resources, filter }) => ids(resources, parseFilter.filter(parseFilter.parse(filter)));

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  console.log(JSON.stringify(asked.filter === undefined ? {
    "scimmy": await said(() => scimmyPatches(asked)),
    "scim-patch": await said(() => scimPatchPatches(asked)),
  } : {
    "scimmy": await said(() => scimmyFinds(asked)),
    "scim2-parse-filter": await said(() => parseFilterFinds(asked)),
  }));
}
