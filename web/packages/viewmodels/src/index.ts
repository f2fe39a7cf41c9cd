/** What the screens show, made from what chat-core knows. No React, no DOM. */
export * from "./composer";
export * from "./lists";
export * from "./rows";
