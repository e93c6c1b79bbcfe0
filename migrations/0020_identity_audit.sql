-- The audit log tells who was linked to whom.

create function syncline.audit_identity() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'INSERT' then
    perform syncline.record('user.linked', '', syncline.account_called(new.account_id), jsonb_build_object('issuer', new.issuer, 'subject', new.subject));
  else
    perform syncline.record('user.unlinked', '', syncline.account_called(old.account_id), jsonb_build_object('issuer', old.issuer, 'subject', old.subject));
  end if;
  return null;
end $$;
create trigger audit after insert or delete on syncline.identity for each row execute function syncline.audit_identity();
