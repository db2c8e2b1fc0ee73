// Draws /openapi.json as a page that people can read. Text is set as text, never as markup.
"use strict";

const METHODS = ["get", "post", "patch", "put", "delete"];

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

class Reference {
  constructor(description) {
    this.description = description;
  }

  // What a {"$ref": "#/…"} stands for.
  resolve(schema) {
    if (!schema || !schema.$ref) return schema || {};
    return schema.$ref.split("/").slice(1).reduce((at, step) => at[step], this.description);
  }

  // A type in a few words: "string (date-time) or null", "one of a, b".
  typeText(given) {
    const schema = this.resolve(given);
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.enum) return "one of " + schema.enum.map((value) => JSON.stringify(value)).join(", ");
    const several = schema.oneOf || schema.anyOf;
    if (several) return several.map((one) => this.typeText(one)).join(" or ");
    const types = [].concat(schema.type || "any");
    if (schema.contentMediaType) return "file";
    if (types.includes("array")) return "list of " + this.typeText(schema.items);
    const format = schema.format ? ` (${schema.format})` : "";
    return types.join(" or ").replace(" or null", `${format} or null`) + (types.includes("null") ? "" : format);
  }

  limitsText(given) {
    const schema = this.resolve(given);
    const said = [];
    if (schema.default !== undefined) said.push(`usually ${JSON.stringify(schema.default)}`);
    if (schema.minimum !== undefined) said.push(`at least ${schema.minimum}`);
    if (schema.maximum !== undefined) said.push(`at most ${schema.maximum}`);
    if (schema.minLength !== undefined || schema.maxLength !== undefined)
      said.push(`${schema.minLength ?? 0} to ${schema.maxLength ?? "any number of"} characters`);
    return said.length ? ` (${said.join(", ")})` : "";
  }

  // Rows for the members of an object, members of members indented by their path.
  rows(given, path = "", depth = 0) {
    const schema = this.resolve(given);
    const branches = schema.oneOf || schema.anyOf;
    if (branches) {
      const objects = branches.map((one) => this.resolve(one)).filter((one) => one.properties);
      return objects.flatMap((one) => this.rows(one, path, depth));
    }
    if ([].concat(schema.type).includes("array")) return this.rows(schema.items, `${path}[]`, depth);
    return Object.entries(schema.properties || {}).flatMap(([name, member]) => {
      const where = path ? `${path}.${name}` : name;
      const required = (schema.required || []).includes(name);
      const own = { name: where, required, schema: member, description: member.description || this.resolve(member).description };
      return [own, ...(depth < 3 ? this.rows(member, where, depth + 1) : [])];
    });
  }

  table(rows, asks) {
    if (!rows.length) return null;
    const body = rows.map((row) =>
      element("tr", {},
        element("td", {}, element("code", {}, row.name), asks && row.required ? element("span", { class: "required", title: "required" }, " *") : null),
        element("td", {}, this.typeText(row.schema)),
        element("td", {}, (row.description || "") + this.limitsText(row.schema))));
    return element("table", { class: "fields" },
      element("thead", {}, element("tr", {}, element("th", {}, "name"), element("th", {}, "type"), element("th", {}, "meaning"))),
      element("tbody", {}, ...body));
  }

  parameters(operation, path) {
    const all = [...(this.description.paths[path].parameters || []), ...(operation.parameters || [])].map((one) => this.resolve(one));
    const rows = all.map((one) => ({ name: one.name, required: one.required, schema: one.schema, description: `${one.in}. ${one.description || ""}` }));
    return rows.length ? [element("h4", {}, "Parameters"), this.table(rows, true)] : [];
  }

  request(operation) {
    const content = this.resolve(operation.requestBody).content;
    if (!content) return [];
    const types = Object.keys(content);
    return [element("h4", {}, "Request"), element("p", { class: "note" }, types.join(", ")), this.table(this.rows(content[types[0]].schema), true)];
  }

  // A table for each of the shapes that an answer may have.
  shapes(type, given) {
    const schema = this.resolve(given);
    return (schema.oneOf || [schema]).flatMap((one) => {
      const rows = this.rows(one);
      const description = this.resolve(one).description;
      const note = description || (rows.length ? null : type);
      return [note ? element("p", { class: "note" }, note) : null, this.table(rows, false)].filter((part) => part);
    });
  }

  responses(operation) {
    return [element("h4", {}, "Answers"), ...Object.entries(operation.responses).map(([status, given]) => {
      const answer = this.resolve(given);
      const content = answer.content ? Object.entries(answer.content)[0] : null;
      const heading = element("summary", {}, element("span", { class: "status" }, status), ` ${answer.description || ""}`);
      const details = element("details", status.startsWith("2") ? { open: "" } : {}, heading);
      if (content) details.append(...this.shapes(content[0], content[1].schema));
      return details;
    })];
  }

  operation(path, method) {
    const operation = this.description.paths[path][method];
    const open = operation.security && operation.security.length === 0;
    return element("section", { id: operation.operationId },
      element("h3", {}, element("span", { class: `method ${method}` }, method.toUpperCase()), element("code", {}, path)),
      element("p", {}, operation.summary || ""),
      operation.description ? element("p", { class: "note" }, operation.description) : null,
      element("p", { class: "note" }, open ? "No key is needed." : "Needs a key: Authorization: Bearer KEY."),
      ...this.parameters(operation, path), ...this.request(operation), ...this.responses(operation));
  }

  draw(contents, main) {
    const info = this.description.info;
    main.replaceChildren(element("h1", {}, info.title), ...info.description.split("\n\n").map((text) => element("p", {}, text)),
      element("p", {}, element("a", { href: "/openapi.json" }, "OpenAPI description"), ` · version ${info.version}`));
    for (const tag of this.description.tags) {
      main.append(element("h2", {}, tag.name), element("p", {}, tag.description));
      contents.append(element("h2", {}, tag.name));
      for (const [path, item] of Object.entries(this.description.paths))
        for (const method of METHODS.filter((one) => item[one] && item[one].tags.includes(tag.name))) {
          main.append(this.operation(path, method));
          contents.append(element("a", { href: `#${item[method].operationId}` }, element("span", { class: `method ${method}` }, method.toUpperCase()), path));
        }
    }
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }
}

fetch("/openapi.json")
  .then((answer) => answer.json())
  .then((description) => new Reference(description).draw(document.getElementById("contents"), document.getElementById("reference")))
  .catch((problem) => document.getElementById("reference").replaceChildren(element("p", {}, `The description cannot be read: ${problem.message}`)));
