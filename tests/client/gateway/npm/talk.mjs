// OpenAI's npm client, official and unchanged, against a gateway: node talk.mjs BASE_URL MODEL EMBEDDER
import OpenAI from "openai";

const [baseURL, model, embedder] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 });
const messages = [{ role: "user", content: "What is the capital of Japan?" }];
const told = {};

told.models = (await client.models.list()).data.map((known) => known.id);

const answer = await client.chat.completions.create({ model, messages, temperature: 0, max_tokens: 32 });
told.answer = answer.choices[0].message.content;
told.job = answer.tally.job;

const stream = await client.chat.completions.create({
  model, messages, temperature: 0, max_tokens: 32, stream: true, stream_options: { include_usage: true },
});
told.streamed = "";
for await (const chunk of stream) {
  told.streamed += chunk.choices[0]?.delta.content ?? "";
  told.streamedJob = chunk.tally?.job;
  told.usage = chunk.usage?.completion_tokens;
}

const vectors = await client.embeddings.create({ model: embedder, input: ["one text", "another"] });
told.dimensions = vectors.data.map((entry) => entry.embedding.length);
told.lengths = vectors.data.map((entry) => Math.hypot(...entry.embedding));
told.vectorJobs = vectors.tally.runs.map((run) => run.job);

try {
  await client.chat.completions.create({ model, messages, tools: [{ type: "function", function: { name: "f" } }] });
} catch (error) {
  told.refused = { status: error.status, code: error.code, param: error.param };
}

const left = await client.chat.completions.create({ model, messages, temperature: 0, max_tokens: 4000, stream: true });
for await (const chunk of left) {
  told.cancelledJob = "0x" + chunk.id.replace("chatcmpl-", "");
  break; // leaving the loop aborts the request
}

console.log(JSON.stringify(told));
