/** Names of our own inside events. An album is an ordinary picture to other clients, with more beside it. */
export const ALBUM_KEY = "io.haechi.album";
