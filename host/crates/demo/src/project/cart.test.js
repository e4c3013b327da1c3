import assert from "node:assert/strict";
import { test } from "node:test";

import { total } from "../src/cart.js";

test("an empty cart costs nothing", () => {
  assert.equal(total([]), 0);
});

test("every item counts", () => {
  const items = [
    { price: 250, quantity: 2 },
    { price: 100, quantity: 1 },
  ];
  assert.equal(total(items), 600);
});

test("a discount is taken off the whole", () => {
  assert.equal(total([{ price: 999, quantity: 1 }], 10), 899);
});
