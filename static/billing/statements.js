// Monthly statements of a wallet.

import { element } from "../accounts/parts.js";
import { List, change, doing, download, fill, money, tableRow } from "./parts.js";

let currency = "CNY";

const list = new List("statement", "statements", (statement) => {
  const save = (kind) => doing(kind.toUpperCase(), "button quiet small", () =>
    download(`/api/v1/billing/statements/${statement.id}/${kind}`, `statement-${statement.month}.${kind}`));
  const files = element("span", "", "files");
  for (const kind of ["pdf", "csv"]) {
    const made = save(kind);
    made.setAttribute("aria-label", fill(list.rows.dataset[kind], { month: statement.month }));
    files.append(made);
  }
  const moved = change(statement.moved, currency);
  const closing = element("div", money(statement.closing, currency));
  closing.append(element("small", moved, "narrow"));
  return tableRow(
    element("b", statement.month),
    [money(statement.opening, currency), "amount after wide"],
    [moved, `amount wide ${statement.moved < 0 ? "out" : "in"}`],
    [closing, "amount"],
    [files, "files"],
  );
});

export async function load(wallet) {
  const show = await list.load("/api/v1/billing/statements", { wallet: wallet.id });
  return () => {
    ({ currency } = wallet);
    show();
  };
}
