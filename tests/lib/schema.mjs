// Holds replies against openapi.json: each status must be described, each member too, with its type; what is required must be there.
import assert from 'node:assert/strict';

const typeOf = value => value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;

export class Schemas {
    constructor(doc) {
        this.doc = doc;
    }

    resolve(schema) {
        return schema?.$ref ? this.resolve(schema.$ref.slice(2).split('/').reduce((at, step) => at[step], this.doc)) : schema;
    }

    // All that does not fit, as sentences.
    differences(value, schema, at) {
        schema = this.resolve(schema);
        if (!schema)
            return [`${at} is not described`];
        const type = typeOf(value), types = [schema.type].flat();
        if (!types.includes(type) && !(type === 'integer' && types.includes('number')))
            return [`${at} is ${type}, described as ${types}`];
        if (type === 'array')
            return schema.items ? value.flatMap((one, i) => this.differences(one, schema.items, `${at}[${i}]`)) : [];
        if (type === 'object')
            return this.membersDiffer(value, schema, at);
        return schema.enum && !schema.enum.includes(value) ? [`${at} is ${value}, which is none of ${schema.enum}`] : [];
    }

    membersDiffer(value, { properties = {}, required = [], additionalProperties }, at) {
        const missing = required.filter(name => !(name in value)).map(name => `${at}.${name} is required, and missing`);
        return missing.concat(Object.entries(value).flatMap(([name, one]) =>
            this.differences(one, properties[name] ?? additionalProperties, `${at}.${name}`)));
    }

    // The reply to METHOD template.
    assertReply(method, template, { status, headers, body, text }) {
        const where = `${method} ${template}: ${status}`;
        const operation = this.doc.paths[template]?.[method.toLowerCase()];
        assert.ok(operation, `${where}: the route is not described`);
        const response = this.resolve(operation.responses[status]);
        assert.ok(response, `${where} is not described: ${text}`);
        for (const name of Object.keys(response.headers ?? {}))
            assert.ok(headers[name.toLowerCase()] !== undefined || status === 503, `${where}: ${name} is missing`);
        if (!response.content) {
            assert.equal(text, '', `${where}: a body that is not described`);
            return;
        }
        assert.deepEqual(this.differences(body, response.content['application/json'].schema, where), []);
    }
}
