/**
 * `GET /v1/models` and `GET /v1/models/{name}`: the names that the model is served under.
 */
import { modelNotFound } from '../../serving/errors.ts';
import type { AppDeps } from '../deps.ts';
import { jsonResponse } from '../responses.ts';

/** Units: seconds since 1970; the moment the server was made. */
export type CreatedAt = number;

export function listModels(deps: AppDeps, created: CreatedAt): Response {
  return jsonResponse({
    object: 'list',
    data: deps.settings.servedModelNames.map((name) => modelCard(deps, name, created)),
  });
}

/** Throws: ApiError 404. */
export function showModel(deps: AppDeps, name: string, created: CreatedAt): Response {
  if (!deps.settings.servedModelNames.includes(name)) throw modelNotFound(name);
  return jsonResponse(modelCard(deps, name, created));
}

/** Source: vLLM's model card, which clients read `max_model_len` from. Null while the model is loading for the first time. */
function modelCard(deps: AppDeps, name: string, created: CreatedAt): object {
  const { engine, settings } = deps;
  return {
    id: name,
    object: 'model',
    created,
    owned_by: 'wgslm',
    root: settings.modelRoot,
    parent: null,
    max_model_len: engine.state === 'ready' ? engine.info.maxModelLen : null,
    permission: [
      {
        id: `modelperm-${name}`,
        object: 'model_permission',
        created,
        allow_create_engine: false,
        allow_sampling: true,
        allow_logprobs: true,
        allow_search_indices: false,
        allow_view: true,
        allow_fine_tuning: false,
        organization: '*',
        group: null,
        is_blocking: false,
      },
    ],
  };
}
