// Reads an OpenAPI description from standard input and says whether it is one.
import { Validator } from "@seriousme/openapi-schema-validator";
import { readFileSync } from "node:fs";

const outcome = await new Validator().validate(JSON.parse(readFileSync(0, "utf8")));
if (!outcome.valid) {
  console.error(JSON.stringify(outcome.errors, null, 1));
  process.exit(1);
}
console.log("valid");
