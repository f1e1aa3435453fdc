import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from "graphql";
import { costMax, depthMax, listSizeAssumed, pageSizeDefault } from "./limits.ts";

export type Measure = { cost: number; depth: number };

/**
 * What a validated operation costs: one for each field as often as it can be resolved. A field with `first` multiplies
 * what lies under it by that, a list of objects without a page by `listSizeAssumed`. Introspection is free.
 */
export function measure(
  schema: GraphQLSchema,
  document: DocumentNode,
  options: { operationName?: string | null | undefined; variables: Record<string, unknown> },
): Measure {
  const fragments = new Map(
    document.definitions.flatMap((d) => (d.kind === Kind.FRAGMENT_DEFINITION ? [[d.name.value, d]] : [])),
  );
  const operations = document.definitions.filter(
    (d): d is OperationDefinitionNode => d.kind === Kind.OPERATION_DEFINITION,
  );
  const chosen = operations.find((d) => d.name?.value === options.operationName) ?? operations[0];
  const root = chosen && schema.getRootType(chosen.operation);
  if (!chosen || !root) return { cost: 0, depth: 0 };
  const scope = { schema, fragments, spreads: new Map(), variables: options.variables };
  return measureSelections(chosen.selectionSet, root, scope);
}

/** The refusal of an operation above a limit, or null. */
export function refusal({ cost, depth }: Measure): GraphQLError | null {
  if (cost > costMax) return limitError("COST_LIMIT", `The query costs ${cost}. The limit is ${costMax}.`);
  if (depth > depthMax) {
    return limitError("DEPTH_LIMIT", `The query is ${depth} levels deep. The limit is ${depthMax}.`);
  }
  return null;
}

type Scope = {
  schema: GraphQLSchema;
  fragments: Map<string, FragmentDefinitionNode>;
  /** Fragments measured so far: spread twice at each of n levels, one is expanded once instead of 2ⁿ times. */
  spreads: Map<string, Measure>;
  variables: Record<string, unknown>;
};

function measureSelections(selections: SelectionSetNode, type: GraphQLNamedType, scope: Scope): Measure {
  const parts = selections.selections.map((selection): Measure => {
    if (selection.kind === Kind.FIELD) return measureField(selection, type, scope);
    if (selection.kind === Kind.FRAGMENT_SPREAD) return measureSpread(selection.name.value, scope);
    const condition = selection.typeCondition && scope.schema.getType(selection.typeCondition.name.value);
    return measureSelections(selection.selectionSet, condition ?? type, scope);
  });
  return {
    cost: parts.reduce((total, { cost }) => total + cost, 0),
    depth: parts.reduce((deepest, { depth }) => Math.max(deepest, depth), 0),
  };
}

function measureSpread(name: string, scope: Scope): Measure {
  const known = scope.spreads.get(name);
  if (known !== undefined) return known;
  const { selectionSet, typeCondition } = scope.fragments.get(name)!;
  const measured = measureSelections(selectionSet, scope.schema.getType(typeCondition.name.value)!, scope);
  scope.spreads.set(name, measured);
  return measured;
}

function measureField(field: FieldNode, parent: GraphQLNamedType, scope: Scope): Measure {
  const name = field.name.value;
  const definition = isObjectType(parent) ? parent.getFields()[name] : undefined;
  if (name.startsWith("__") || definition === undefined) return { cost: 0, depth: 0 };
  if (field.selectionSet === undefined) return { cost: 1, depth: 1 };
  const inner = measureSelections(field.selectionSet, getNamedType(definition.type), scope);
  const isPaged = definition.args.some((argument) => argument.name === "first");
  const isList = isListType(getNullableType(definition.type)) && !isPage(parent);
  const times = isPaged ? firstOf(field, scope) : isList ? listSizeAssumed : 1;
  return { cost: 1 + times * inner.cost, depth: 1 + inner.depth };
}

/** A page's nodes were counted where the page was asked for. */
function isPage({ name }: GraphQLNamedType): boolean {
  return name.endsWith("Page");
}

/** A size below one is refused where it is resolved; here it must not pay for the rest of the query. */
function firstOf(field: FieldNode, { variables }: Scope): number {
  const value = field.arguments?.find((argument) => argument.name.value === "first")?.value;
  const variable = value?.kind === Kind.VARIABLE ? variables[value.name.value] : undefined;
  const given = value?.kind === Kind.INT ? Number(value.value) : variable;
  return typeof given === "number" ? Math.max(1, given) : pageSizeDefault;
}

function limitError(code: string, message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code } });
}
