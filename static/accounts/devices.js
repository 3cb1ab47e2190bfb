// What a User-Agent says to people: browser and system.

const NAMES = { Edg: "Edge", OPR: "Opera", MicroMessenger: "WeChat" };

export function deviceName(agent, unknown) {
  const browser = agent.match(/(Edg|OPR|Firefox|Chrome|Safari|YuntuClient|MicroMessenger)\/[\d.]+/);
  const system = agent.match(/Windows|Android|iPhone|iPad|Mac OS X|Linux/);
  if (!browser) return agent.slice(0, 60) || unknown;
  return [NAMES[browser[1]] ?? browser[1], system?.[0]].filter(Boolean).join(" · ");
}
