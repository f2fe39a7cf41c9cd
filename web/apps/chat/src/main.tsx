import "@haechi/ui/app.css";
import { RouterProvider } from "@tanstack/react-router";
import { createRoot } from "react-dom/client";
import { chat, firstTexts, World } from "./context";
import { router } from "./router";

const root = document.getElementById("app");
if (!root) throw new Error("no element to draw in");

const [first] = await Promise.all([firstTexts(), chat.begin()]);
createRoot(root).render(
  <World first={first}>
    <RouterProvider router={router} />
  </World>,
);

if ("serviceWorker" in navigator && import.meta.env.PROD) void navigator.serviceWorker.register("/sw.js").catch(() => undefined);
