// client.mjs: calls of @aws-sdk/client-cloudtrail for clients_test.py.
//
//   node client.mjs '{"operation": "LookupEvents", "input": {...}, "skew_ms": 0, "pages": false}'
//
// Prints one line of JSON: {"answer": ...} or {"error": name, "message": ...}; times are seconds.

import { createRequire } from "node:module";

const require = createRequire(process.env.CLIENTS + "/");
const sdk = require("@aws-sdk/client-cloudtrail");
const asked = JSON.parse(process.argv[2]);

// A machine whose clock is off.
if (asked.skew_ms) {
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...given) {
      if (given.length === 0) super(RealDate.now() + asked.skew_ms);
      else super(...given);
    }
    static now() {
      return RealDate.now() + asked.skew_ms;
    }
  };
}

const input = { ...asked.input };
for (const name of ["StartTime", "EndTime"]) {
  if (input[name] !== undefined) input[name] = new Date(input[name] * 1000);
}
const client = new sdk.CloudTrailClient({
  endpoint: process.env.ENDPOINT,
  region: process.env.AWS_DEFAULT_REGION,
});
const print = (value) =>
  console.log(JSON.stringify(value, (key, item) => (key === "EventTime" ? Date.parse(item) / 1000 : item)));

try {
  let answer;
  if (asked.pages) {
    answer = { Events: [] };
    for await (const page of sdk.paginateLookupEvents({ client }, input)) answer.Events.push(...page.Events);
  } else {
    answer = await client.send(new sdk[asked.operation + "Command"](input));
  }
  print({ answer });
} catch (error) {
  print({ error: error.name, message: error.message, attempts: error.$metadata?.attempts });
}
