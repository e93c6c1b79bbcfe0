-- What administrators say about services and layers beside their tables. The triggers on both tables tell running servers.
alter table syncline.service add column definition jsonb not null default '{}';
comment on column syncline.service.definition is
  'What an administrator says about the service: texts, capabilities; a document with the names that clients know';

alter table syncline.layer add column definition jsonb not null default '{}';
comment on column syncline.layer.definition is
  'What an administrator says about the layer: domains, aliases, templates, symbols, editor tracking, capabilities; a document with the names that clients know';
