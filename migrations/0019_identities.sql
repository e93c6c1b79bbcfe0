-- Who users are at identity providers (OpenID Connect).

create table syncline.identity (
  issuer text not null,
  subject text not null,
  account_id integer not null references syncline.account on delete cascade,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  primary key (issuer, subject)
);
comment on table syncline.identity is 'For whom a provider of identities may vouch; by nothing else is an account known to belong to a person of a provider';
comment on column syncline.identity.issuer is 'The provider, as it names itself';
comment on column syncline.identity.subject is 'The person, as the provider names them; unlike names and addresses, it never becomes somebody else''s';
comment on column syncline.identity.last_used_at is 'When they last signed in';
create index identity_account on syncline.identity (account_id);
