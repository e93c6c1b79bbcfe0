-- Who may do what: users and their roles, tokens, keys, and what was granted of services.

create table syncline.account (
  account_id integer generated always as identity primary key,
  name text not null,
  password_hash text,
  enabled boolean not null default true,
  created_at timestamptz not null default now(),
  password_changed_at timestamptz
);
comment on table syncline.account is 'A user';
comment on column syncline.account.name is 'As it was given; names are compared without case';
comment on column syncline.account.password_hash is 'Argon2id, in the PHC form; null: nobody signs in with a password, but another service may vouch for the user';
create unique index account_name on syncline.account (lower(name));

create table syncline.role (
  name text primary key check (name = lower(name)),
  level text not null check (level in ('viewer', 'editor', 'publisher', 'admin')),
  built_in boolean not null default false
);
comment on table syncline.role is 'What users are for; a role of one''s own is a group of users';
comment on column syncline.role.level is 'Which of the built-in roles it amounts to where nothing was granted to it';
insert into syncline.role (name, level, built_in)
values ('viewer', 'viewer', true), ('editor', 'editor', true), ('publisher', 'publisher', true), ('admin', 'admin', true);

create table syncline.account_role (
  account_id integer not null references syncline.account on delete cascade,
  role text not null references syncline.role on delete restrict,
  primary key (account_id, role)
);

create table syncline.token (
  token_id integer generated always as identity primary key,
  digest bytea not null unique check (octet_length(digest) = 32),
  account_id integer not null references syncline.account on delete cascade,
  bound_as text check (bound_as in ('referer', 'ip')),
  bound_to text,
  is_session boolean not null default false,
  csrf text,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  issued_to text not null default '',
  check (num_nonnulls(bound_as, bound_to) <> 1),
  check (is_session = (csrf is not null))
);
comment on table syncline.token is 'What users present instead of their passwords';
comment on column syncline.token.digest is 'SHA-256 of the token, which is random and stands nowhere else';
comment on column syncline.token.bound_to is 'The referer or the address with which alone it counts';
comment on column syncline.token.is_session is 'It counts as a cookie of pages, and nowhere else';
comment on column syncline.token.csrf is 'What the forms of the session carry';
comment on column syncline.token.issued_to is 'The address that asked for it';
create index token_account on syncline.token (account_id);
create index token_expires on syncline.token (expires_at);

create table syncline.api_key (
  key_id integer generated always as identity primary key,
  name text not null,
  digest bytea not null unique check (octet_length(digest) = 32),
  role text not null references syncline.role on delete restrict,
  services integer[],
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  last_used_at timestamptz
);
comment on table syncline.api_key is 'What programs present; it belongs to no user';
comment on column syncline.api_key.services is 'The services that it is limited to; null: all';
comment on column syncline.api_key.last_used_at is 'To within some minutes';
create unique index api_key_name on syncline.api_key (lower(name));

create table syncline.service_grant (
  service_id integer not null references syncline.service on delete cascade,
  account_id integer references syncline.account on delete cascade,
  role text references syncline.role on delete cascade,
  access text not null check (access in ('none', 'view', 'edit', 'manage')),
  check (num_nonnulls(account_id, role) < 2),
  check (access <> 'manage' or num_nonnulls(account_id, role) = 1)
);
comment on table syncline.service_grant is 'What somebody may do with a service: a user, a role, or, with neither, everybody';
create unique index service_grant_once on syncline.service_grant (service_id, coalesce(account_id, 0), coalesce(role, ''));

-- Grants are read with the catalogue.
create trigger changed after insert or update or delete on syncline.service_grant
for each statement execute function syncline.catalogue_changed();

-- Servers remember for some seconds whom a token stands for, unless they hear of a change.
create function syncline.accounts_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_notify('syncline_accounts', '');
  return null;
end $$;
create trigger changed after update or delete on syncline.account
for each statement execute function syncline.accounts_changed();
create trigger changed after insert or update or delete on syncline.account_role
for each statement execute function syncline.accounts_changed();
create trigger changed after update or delete on syncline.role
for each statement execute function syncline.accounts_changed();
create trigger changed after delete on syncline.token
for each statement execute function syncline.accounts_changed();
create trigger changed after delete or update of digest, role, services, expires_at on syncline.api_key
for each statement execute function syncline.accounts_changed();
