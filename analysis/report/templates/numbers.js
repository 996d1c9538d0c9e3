"use strict";
// How numbers are written, as analysis/numbers.py writes them: tests/page compares the two.
const SUPERSCRIPTS = {"-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹"};
const minus = text => text.replace(/-/g, "−");
const grouped = text => text.replace(/^(-?\d+)/, whole => whole.replace(/\B(?=(\d{3})+$)/g, ","));

// A value that lies between two written ones goes to the even one, as in Python.
function even(value, digits) {
  const written = Math.abs(value).toExponential(30).replace(".", "");
  const tie = /^50*e/.test(written.slice(digits)) && "02468".includes(written[digits - 1]);
  return tie ? value * (1 - 1e-13) : value;
}

function powerOfTen(exact, digits = 3) {
  const value = even(exact, digits), [mantissa, power] = value.toExponential(digits - 1).split("e");
  const ten = "10" + [...String(Number(power))].map(mark => SUPERSCRIPTS[mark]).join("");
  const factor = Math.abs(Number(mantissa));
  return (value < 0 ? "−" : "") + (factor === 1 ? ten : `${factor}×${ten}`);
}

function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return minus(grouped(String(value)));
  const rounded = Number(even(value, digits).toPrecision(digits));
  const plain = Math.abs(rounded) >= 1e-3 && Math.abs(rounded) < 1e6;
  return plain ? minus(grouped(String(rounded))) : powerOfTen(value, digits);
}

function count(value) {
  return Number.isInteger(value) ? number(value, 3) : value === null ? "" : number(Math.round(Number(even(value, 4).toPrecision(4))), 3);
}

const flops = value => (value ? powerOfTen(value) : number(value));

function measured(value) {
  if (value === null || value === undefined) return "";
  const power = Number(value.toExponential(3).split("e")[1]);
  if (value && (power < -3 || power >= 6)) return `${measured(value / 10 ** power)}×${powerOfTen(10 ** power)}`;
  return minus(grouped(Number(even(value, 4).toPrecision(4)).toFixed(Math.max(0, 3 - power))));
}

function entry(column, value) {
  if (typeof value !== "number") return value === null || value === undefined ? "" : String(value);
  const symbol = column.replace(/^run_/, "").split("_")[0];
  if (symbol === "N" || symbol === "D") return count(value);
  if (symbol === "C" || column === "budget") return flops(value);
  return /(loss|error)$/.test(column) ? measured(value) : number(value);
}
