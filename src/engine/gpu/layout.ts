/**
 * One table for a parameter struct: its WGSL declaration and the writer of its bytes come from the same rows.
 *
 * Owns 4-byte scalars only, which need no padding rules: every field is u32, i32 or f32. Next: `kernel.ts`.
 */

export type FieldType = 'u32' | 'i32' | 'f32';

/** A struct of 4-byte scalars. */
export interface StructLayout<Fields extends Record<string, FieldType> = Record<string, FieldType>> {
  readonly name: string;
  readonly fields: Fields;
  /** Size rounded up to 16, as uniform buffers want. Units: bytes. */
  readonly bytes: number;
  readonly wgsl: string;
  /** Writes all fields from word `at` on, into two views of the same memory. Mutates: the memory. */
  write(words: Uint32Array, floats: Float32Array, at: number, values: { readonly [K in keyof Fields]: number }): void;
}

/** Declares a struct by name and fields in order. */
export function struct<const Fields extends Record<string, FieldType>>(
  name: string,
  fields: Fields,
): StructLayout<Fields> {
  const entries = Object.entries(fields);
  const names = Object.keys(fields) as (keyof Fields)[];
  const isFloat = names.map((name) => fields[name] === 'f32');
  const wgsl = `struct ${name} {\n${entries.map(([field, type]) => `  ${field}: ${type},`).join('\n')}\n}`;
  return {
    name,
    fields,
    bytes: Math.ceil((entries.length * 4) / 16) * 16,
    wgsl,
    write(words, floats, at, values) {
      for (let i = 0; i < names.length; i++) {
        const value = values[names[i] as keyof Fields];
        if (isFloat[i]) floats[at + i] = value;
        else words[at + i] = value;
      }
    },
  };
}
