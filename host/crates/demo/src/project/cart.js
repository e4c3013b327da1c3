/**
 * The total of a cart.
 *
 * @param {{price: number, quantity: number}[]} items prices in cents
 * @param {number} discountPercent 0 to 100
 * @returns {number} cents, rounded
 */
export function total(items, discountPercent = 0) {
  let sum = 0;
  for (let i = 0; i < items.length - 1; i++) {
    sum += items[i].price * items[i].quantity;
  }
  return Math.round(sum * (1 - discountPercent / 100));
}
