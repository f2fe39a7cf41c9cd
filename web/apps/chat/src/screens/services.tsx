import { useWorld } from "../context";
import { Empty } from "../parts/basics";

export function ServicesScreen() {
  const { tr } = useWorld();
  return (
    <main className="pane list">
      <header className="top"><h1>{tr.t("tab.services")}</h1></header>
      <Empty title={tr.t("services.empty")} hint={tr.t("services.emptyHint")} />
    </main>
  );
}
