// @ts-check
/** Object slots: assignment of the user's ids to a model's identities, and conversion of maps between them. */

/** Neighbors are objects within these fractions of the short edge. */
const REACHES = [36, 72];

/** @typedef {[number, number]} Size height and width */

/**
 * Slots of objects, numbered consecutively over all groups of identities. A slot is assigned only once, so that the memory
 * of a deleted object isn't mistaken for a new one. A group whose objects are all deleted is removed with its slots.
 */
export class ObjectSlots {
  /** @param {number} groupSize identities of a group */
  constructor(groupSize) {
    this.groupSize = groupSize;
    /** @type {Map<number, number>} */
    this.table = new Map();
    this.assigned = 0;
  }

  /** Ids in the order of their slots. */
  get ids() {
    return [...this.table.keys()];
  }

  /** Slots of the objects, ascending. */
  get slots() {
    return [...this.table.values()];
  }

  get groups() {
    return Math.ceil(this.assigned / this.groupSize);
  }

  /** Slots of the last group that aren't assigned yet. */
  get room() {
    return this.groups * this.groupSize - this.assigned;
  }

  /** Assign slots to the ids that have none yet, in their order. @param {number[]} ids */
  add(ids) {
    for (const id of ids) if (!this.table.has(id)) this.table.set(id, ++this.assigned);
  }

  /** Remove objects; return the old numbers of the groups that remain. @param {number[]} ids @returns {number[]} */
  delete(ids) {
    const unknown = ids.find((id) => !this.table.has(id));
    if (unknown !== undefined) throw new RangeError(`there is no object ${unknown}; the objects are ${this.ids.join(", ")}`);
    const size = this.groupSize;
    const before = this.groups;
    const left = [...this.table].filter(([id]) => !ids.includes(id));
    const groupOf = (/** @type {number} */ slot) => Math.floor((slot - 1) / size);
    const stay = [...new Set(left.map(([, slot]) => groupOf(slot)))].sort((a, b) => a - b);
    if (!stay.length || stay[stay.length - 1] < before - 1) this.assigned = before * size; // the group before the last is full
    this.assigned -= (before - stay.length) * size;
    this.table = new Map(left.map(([id, slot]) => [id, stay.indexOf(groupOf(slot)) * size + ((slot - 1) % size) + 1]));
    return stay;
  }

  /** Convert ids to slots; unknown ids become 0. @param {Int32Array} ids */
  toSlots(ids) {
    return ids.map((id) => this.table.get(id) ?? 0);
  }

  /** Convert slots to ids. @param {Int32Array} slots @returns {Uint8Array|Uint16Array} */
  toIds(slots) {
    const table = new Int32Array(Math.max(0, ...this.slots) + 1);
    for (const [id, slot] of this.table) table[slot] = id;
    const out = Math.max(0, ...this.ids) > 255 ? new Uint16Array(slots.length) : new Uint8Array(slots.length);
    for (let i = 0; i < out.length; i++) out[i] = table[slots[i]];
    return out;
  }

  /** Convert slots to identities of a group; other groups' objects become 0. @param {Int32Array} slots @param {number} group */
  identities(slots, group) {
    const first = group * this.groupSize;
    return slots.map((slot) => (slot > first && slot <= first + this.groupSize ? slot - first : 0));
  }
}

/** Resize a map of slots by nearest-neighbor interpolation. @param {Int32Array} x @param {Size} old @param {Size} size */
export function resizeNearest(x, old, size) {
  if (old[0] === size[0] && old[1] === size[1]) return x;
  const [rows, columns] = [0, 1].map((axis) => {
    const scale = Math.fround(old[axis] / size[axis]);
    return Int32Array.from({ length: size[axis] }, (_, i) => Math.min(Math.floor(Math.fround(i * scale)), old[axis] - 1));
  });
  const out = new Int32Array(size[0] * size[1]);
  for (let y = 0, at = 0; y < size[0]; y++) for (let i = 0; i < size[1]; i++, at++) out[at] = x[rows[y] * old[1] + columns[i]];
  return out;
}

/**
 * Order objects so that neighbors get identities of different groups: from the largest to the smallest, each object
 * joins the group with the fewest of its neighbors.
 * @param {Int32Array} mask @param {Size} size @param {number[]} ids ascending @param {number} groupSize
 * @param {number} room free identities of the last group so far
 */
export function separateNeighbors(mask, size, ids, groupSize, room) {
  const rooms = room ? [room] : [];
  const sum = () => rooms.reduce((a, b) => a + b, 0);
  while (sum() < ids.length) rooms.push(groupSize);
  if (rooms.length === 1) return ids;
  rooms[rooms.length - 1] -= sum() - ids.length; // only the last group may have identities to spare
  const { contacts, areas } = countContacts(mask, size, ids);
  const near = ids.map(() => rooms.map(() => 0));
  /** @type {number[][]} */
  const members = rooms.map(() => []);
  for (const i of [...ids.keys()].sort((a, b) => areas[b] - areas[a])) {
    const free = [...rooms.keys()].filter((g) => members[g].length < rooms[g]);
    const group = free.reduce((a, b) => (near[i][b] - near[i][a] || members[b].length - members[a].length) < 0 ? b : a);
    members[group].push(i);
    near.forEach((row, j) => (row[group] += contacts[i][j]));
  }
  return members.flatMap((group) => group.sort((a, b) => a - b).map((i) => ids[i]));
}

/** Count the pairs of neighboring pixels of every two objects, and the objects' pixels. @param {Int32Array} mask @param {Size} size @param {number[]} ids */
function countContacts(mask, [height, width], ids) {
  const places = new Map(ids.map((id, i) => [id, i + 1]));
  const index = mask.map((id) => places.get(id) ?? 0); // 0: none of these objects
  const count = ids.length + 1;
  const pairs = new Float64Array(count * count);
  const areas = new Array(count).fill(0);
  for (const i of index) areas[i]++;
  for (const part of REACHES) {
    const reach = Math.max(1, Math.floor(Math.min(height, width) / part));
    for (const [dy, dx] of [[0, reach], [reach, 0], [reach, reach], [reach, -reach]]) {
      for (let y = 0; y < height - dy; y++) {
        for (let x = Math.max(0, -dx); x < width - Math.max(0, dx); x++) {
          pairs[index[y * width + x] * count + index[(y + dy) * width + x + dx]]++;
        }
      }
    }
  }
  const contacts = ids.map((_, i) => ids.map((__, j) => pairs[(i + 1) * count + j + 1] + pairs[(j + 1) * count + i + 1]));
  return { contacts, areas: areas.slice(1) };
}
