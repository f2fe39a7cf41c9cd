import { useWorld } from "../context";

const ALL = "😀 😄 😁 😂 🤣 😊 🙂 😉 😍 🥰 😘 😋 😎 🤩 🥳 🤗 🤔 🫡 😐 🙄 😴 😷 🤒 🥺 😢 😭 😤 😡 🤯 😱 😅 😬 🫠 🫢 👍 👎 👏 🙌 🙏 💪 👌 ✌️ 🤞 👋 🫶 ❤️ 🧡 💛 💚 💙 💜 🖤 💔 ✨ 🔥 🎉 🎂 🎁 🌸 🌞 🌙 ☔ ⛄ 🍚 🍜 🍗 🍺 ☕ 🍎 🚕 🚇 ✈️ 🏠 🏢 📷 🎵 ⚽ 🐶 🐱 🐯 🐰 🦊 ✅ ❌ ❓ ❗ 💯 ⏰".split(" ");

export default function Emoji({ onPick }: { onPick: (emoji: string) => void }) {
  const { tr } = useWorld();
  return <div className="picker" role="group" aria-label={tr.t("room.emoji")}>{ALL.map((emoji) => <button key={emoji} type="button" onClick={() => onPick(emoji)}>{emoji}</button>)}</div>;
}
