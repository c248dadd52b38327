// Servers that come as Java libraries: their jars, copied by Maven, and a start script that is used like any other program.
import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findOrBuild, withProgress } from './cache.ts';

const run = promisify(execFile);

export type JavaTool = {
  /** Folder beside this file with the pom.xml that pins the version, as its property `server.version`. */
  readonly folder: string;
  readonly mainClass: string;
  /** Compiled against the jars, and before them on the class path. */
  readonly source?: string;
  /** Begins the name of a jar that must come before the others. */
  readonly firstJar?: string;
};

/** To be raised with what `writeScript` writes: it is part of what a cached tool is. */
const SCRIPT = 1;

/**
 * The path of a start script for the server, which passes its arguments on; options of the virtual machine go into the environment
 * variable JDK_JAVA_OPTIONS. Rejects, naming what is missing, when it must be built and Java or Maven is not there.
 */
export function ensureJavaTool(name: string, tool: JavaTool): Promise<string> {
  const folder = join(import.meta.dirname, tool.folder);
  const files = ['pom.xml', ...(tool.source === undefined ? [] : [tool.source])];
  const recipe = JSON.stringify([SCRIPT, tool]);
  return findOrBuild(name, { folder, files, recipe }, (path) => build(name, tool, path));
}

async function build(name: string, tool: JavaTool, path: string): Promise<void> {
  const folder = join(import.meta.dirname, tool.folder);
  const pom = await readFile(join(folder, 'pom.xml'), 'utf8');
  const label = `${name} ${/<server\.version>(.*)</.exec(pom)?.[1]}`;
  await demand(label, tool);
  await withProgress(
    label,
    "its jars are fetched with Maven (a minute or two when Maven's cache is cold)",
    async () => {
      const temporary = `${path}-jars.${process.pid}`;
      const jars = `${path}-jars`;
      try {
        await mvn(label, folder, [
          'dependency:copy-dependencies',
          '-DincludeScope=runtime',
          `-DoutputDirectory=${temporary}`,
        ]);
        if (tool.source !== undefined) {
          const classes = join(temporary, 'classes');
          await mkdir(classes, { recursive: true });
          await javac(label, [
            '-proc:none',
            '-nowarn',
            '-cp',
            join(temporary, '*'),
            '-d',
            classes,
            join(folder, tool.source),
          ]);
        }
        await rm(jars, { recursive: true, force: true });
        await rename(temporary, jars);
        await writeScript(tool, jars, path);
      } finally {
        await rm(temporary, { recursive: true, force: true });
      }
    },
  );
}

async function demand(label: string, { source }: JavaTool): Promise<void> {
  const needed: [command: string, argument: string, product: string][] = [
    ['java', '-version', 'a Java runtime, version 11 or later (java)'],
    ...(source === undefined
      ? []
      : [['javac', '-version', 'a JDK, version 11 or later (javac)'] satisfies [string, string, string]]),
    ['mvn', '-version', 'Apache Maven, version 3.6 or later (mvn)'],
  ];
  const missing: string[] = [];
  for (const [command, argument, product] of needed) {
    const there = await run(command, [argument]).then(
      () => true,
      () => false,
    );
    if (!there) missing.push(product);
  }
  if (missing.length > 0) {
    throw new Error(`${label} has to be put together, but this is missing on PATH: ${missing.join('; ')}; install it`);
  }
}

async function mvn(label: string, folder: string, args: readonly string[]): Promise<void> {
  await told(label, 'mvn', run('mvn', ['-q', '-B', '-f', join(folder, 'pom.xml'), ...args], { maxBuffer: 1 << 26 }));
}

async function javac(label: string, args: readonly string[]): Promise<void> {
  await told(label, 'javac', run('javac', [...args], { maxBuffer: 1 << 26 }));
}

async function told(label: string, command: string, running: Promise<unknown>): Promise<void> {
  try {
    await running;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${label}: ${command} failed:\n${`${stdout}${stderr}`.trim().slice(-4_000)}`);
  }
}

async function writeScript({ mainClass, firstJar }: JavaTool, jars: string, path: string): Promise<void> {
  const names = await readdir(jars);
  const first = firstJar === undefined ? [] : names.filter((name) => name.startsWith(firstJar));
  const classPath = ['classes', ...first, '*'].map((name) => join(jars, name)).join(':');
  const temporary = `${path}.${process.pid}`;
  // exec: whoever starts the script has the id of the server.
  await writeFile(temporary, `#!/bin/sh\nexec java -cp ${quote(classPath)} ${mainClass} "$@"\n`);
  await chmod(temporary, 0o755);
  await rename(temporary, path);
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
